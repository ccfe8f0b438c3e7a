"""What shapes a tree: the service's defaults, changed by the dataset's settings, changed by a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from services.clustering import GROUPERS, GroupingParams, InvalidGrouping
from services.domain import JsonObject
from services.errors import InvalidRequest
from services.models.registry import AUTO


@dataclass(frozen=True, slots=True)
class TreeParams:
    """`summary_tokens` bounds a summary, `token_budget` (of the grouping) the texts that one is made of.

    `levels_cap` stops the clustering that many levels above the leaves; the nodes there become the children of one
    root. A cap of None lets the tree grow until one node is left.
    """

    grouper: str = "umap_gmm"
    summary_llm: str = AUTO
    summary_tokens: int = 200
    levels_cap: int | None = None
    grouping: GroupingParams = GroupingParams()

    def as_json(self) -> dict[str, Any]:
        plain = asdict(self)
        grouping: dict[str, Any] = plain.pop("grouping")
        return plain | grouping

    def changed(self, settings: JsonObject) -> TreeParams:
        """These parameters with those of `settings` in their place. Raises InvalidRequest for one that is unknown or
        makes no sense."""
        own = {field.name for field in fields(self)} - {"grouping"}
        inner = {field.name for field in fields(GroupingParams)}
        unknown = sorted(set(settings) - own - inner)
        if unknown:
            raise InvalidRequest(f"There is no tree parameter {unknown[0]!r}.", known=sorted(own | inner))
        plain = {field.name: getattr(self, field.name) for field in fields(self)} | _only(settings, own)
        try:
            grouping = GroupingParams(**(asdict(self.grouping) | _only(settings, inner)))
            return _checked(TreeParams(**(plain | {"grouping": grouping})))
        except (InvalidGrouping, TypeError) as error:
            raise InvalidRequest(f"The tree parameters make no sense: {error}") from error


def _only(settings: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in names}


def _checked(params: TreeParams) -> TreeParams:
    if params.grouper not in GROUPERS:
        raise InvalidRequest(f"There is no grouper {params.grouper!r}.", known=sorted(GROUPERS))
    if params.levels_cap is not None and params.levels_cap < 1:
        raise InvalidRequest("levels_cap has to be at least 1.")
    if params.summary_tokens < 16:
        raise InvalidRequest("summary_tokens has to be at least 16.")
    return params
