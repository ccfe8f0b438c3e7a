"""What shapes a tree: the service's defaults, changed by the dataset's settings, changed by a request.

Each parameter has its range where it is declared, here and in `GroupingParams`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from services.clustering import GROUPERS, GroupingParams, InvalidGrouping
from services.domain import JsonObject
from services.errors import BrokenTreeSettings, InvalidRequest
from services.models.registry import AUTO
from utils.ranges import Range, out_of_range, ranged, ranges_of

# As much of a name as a message repeats.
SHOWN = 60


@dataclass(frozen=True, slots=True)
class TreeParams:
    """`summary_tokens` bounds a summary, `token_budget` (of the grouping) the texts that one is made of.

    `levels_cap` stops the clustering that many levels above the leaves; the nodes there become the children of one
    root. A cap of None lets the tree grow until one node is left.
    """

    grouper: str = "umap_gmm"
    summary_llm: str = AUTO
    summary_tokens: int = ranged(200, 16, 16_384)
    levels_cap: int | None = ranged(None, 1, 64, optional=True)
    grouping: GroupingParams = GroupingParams()

    def as_json(self) -> dict[str, Any]:
        plain = asdict(self)
        grouping: dict[str, Any] = plain.pop("grouping")
        return plain | grouping

    def changed(self, changes: JsonObject, stored: JsonObject | None = None) -> TreeParams:
        """These parameters with those that are `stored` with a dataset or a tree, then those of `changes`, in their
        place. An unknown name that is stored changes nothing. Raises InvalidRequest for a change that is unknown or
        cannot be, BrokenTreeSettings for what is stored and cannot be."""
        default = self.as_json()
        unknown = sorted(set(changes) - set(default))
        if unknown:
            raise InvalidRequest(f"There is no tree parameter {unknown[0][:SHOWN]!r}.", known=sorted(default))
        kept = {name: value for name, value in (stored or {}).items() if name in default and name not in changes}
        for told in impossible(changes).values():
            raise InvalidRequest(f"The tree parameters make no sense: {told}.")
        if broken := impossible(kept):
            raise _broken(broken, default)
        values = default | kept | dict(changes)
        own = {field.name for field in fields(self)} - {"grouping"}
        try:
            grouping = GroupingParams(**{name: value for name, value in values.items() if name not in own})
        except InvalidGrouping as error:
            # Each may be alone, and they cannot be together.
            together: dict[str, str] = {name: error.message for name in ("min_k", "max_k") if name in kept}
            if together and not changes.keys() & {"min_k", "max_k"}:
                raise _broken(together, default) from error
            raise InvalidRequest(f"The tree parameters make no sense: {error.message}.") from error
        return TreeParams(**{name: values[name] for name in own}, grouping=grouping)


def tree_ranges() -> dict[str, Range]:
    """The parameters that are numbers."""
    return ranges_of(TreeParams) | ranges_of(GroupingParams)


def impossible(values: Mapping[str, Any]) -> dict[str, str]:
    """Of these parameters those that cannot be, each with what it has to be."""
    found = out_of_range(TreeParams, values) | out_of_range(GroupingParams, values)
    if "grouper" in values and not (isinstance(values["grouper"], str) and values["grouper"] in GROUPERS):
        found["grouper"] = f"grouper has to be one of {', '.join(sorted(GROUPERS))}"
    if "summary_llm" in values and not (isinstance(values["summary_llm"], str) and values["summary_llm"]):
        found["summary_llm"] = "summary_llm has to be the name of a model"
    return found


def _broken(told: Mapping[str, str], default: Mapping[str, Any]) -> BrokenTreeSettings:
    return BrokenTreeSettings(
        f"The tree settings stored with the dataset cannot be: {'; '.join(sorted(set(told.values())))}. POST its"
        " `rebuild` with other ones in `tree`, such as those in `details`, builds its tree and replaces them.",
        tree={name: default[name] for name in sorted(told)},
    )
