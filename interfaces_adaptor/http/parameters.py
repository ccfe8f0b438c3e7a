"""Query parameters that an endpoint does not have are refused, as unknown fields of a body are: a misspelt `dry_run` or
`limit` would otherwise be silently none."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant

from services.errors import InvalidRequest

SHOWN = 100


async def only_known_parameters(request: Request) -> None:
    """A dependency of every router. Raises InvalidRequest."""
    if not request.query_params:
        return
    route: Any = request.scope["route"]
    known = parameters_of(route.dependant)
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest(
                f"There is no query parameter {name[:SHOWN]!r} here: leave it out, or correct its name.",
                field=name[:SHOWN],
                known=sorted(known),
            )


def parameters_of(dependant: Dependant) -> set[str]:
    """The endpoint's own, and those of what it depends on."""
    names = {field.alias for field in dependant.query_params}
    return names.union(*(parameters_of(one) for one in dependant.dependencies))
