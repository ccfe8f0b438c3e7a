"""Retrieval."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import ValidationError

from interfaces_adaptor.http.dependencies import ServicesOf, TenantOf
from interfaces_adaptor.http.fields import META_BYTES, checked_dataset_id
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.schemas.retrieval import Comparison, FiltersBody, HitOut, RetrieveBody, RetrievedOut
from services.errors import InvalidRequest
from services.retrieval.hits import Filters
from services.retrieval.query import Query

router = APIRouter(prefix="/v1", tags=["retrieval"])


@router.post(
    "/retrieve", response_model=Envelope[RetrievedOut], summary="Find passages and summaries that answer a question"
)
async def retrieve(
    request: Request,
    services: ServicesOf,
    tenant: TenantOf,
    body: RetrieveBody,
    x_dataset_id: Annotated[str | None, Header()] = None,
) -> Any:
    began = time.perf_counter()
    found = await services.retriever.retrieve(
        tenant,
        Query(
            dataset_id=checked_dataset_id(body.dataset_id, body.database_id, x_dataset_id),
            text=checked_query(body.query),
            mode=body.mode,
            top_k=body.top_k,
            max_tokens=body.max_tokens,
            filters=filters_from(body.filters),
            hybrid=body.hybrid,
            reranker=body.reranker,
            expand=body.expand,
            order=body.order,
            boosts=body.boosts,
            quotas=body.quotas,
            threshold=body.threshold,
            embed_model=body.embed_model,
            keys=keys_of(request, body),
        ),
    )
    return Envelope(
        data=RetrievedOut(
            results=[HitOut.of(hit) for hit in found.hits],
            tree_id=found.tree_id,
            mode=found.mode,
            reason=found.reason,
            notes=list(found.notes),
            usage=asdict(found.usage),
            took_ms=round(1000 * (time.perf_counter() - began), 2),
        )
    )


def checked_query(query: str) -> str:
    """Raises InvalidRequest."""
    if not query.strip():
        raise InvalidRequest("`query` contains only white space.", field="query")
    return checked_string("query", query)


def filters_from(body: FiltersBody) -> Filters:
    """Raises InvalidRequest for an unknown filter."""
    meta = meta_filters(body.model_extra or {})
    return Filters(
        doc_id=strings("filters.doc_id", body.doc_id),
        source=() if isinstance(body.source, Comparison) else strings("filters.source", body.source),
        tags=() if isinstance(body.tags, Comparison) else strings("filters.tags", body.tags),
        level=() if body.level is None else (body.level,) if isinstance(body.level, int) else tuple(body.level),
        section=strings("filters.heading_path", body.heading_path.prefix) if body.heading_path else (),
        meta={path: value for path, value in meta.items() if not isinstance(value, dict)},
        comparisons={
            **{f"meta.{path}": operators(path, value) for path, value in meta.items() if isinstance(value, dict)},
            **{
                name: operators(name, value.model_dump(by_alias=True, exclude_unset=True))
                for name, value in (("source", body.source), ("tags", body.tags))
                if isinstance(value, Comparison)
            },
        },
    )


def strings(name: str, value: str | list[str] | None) -> tuple[str, ...]:
    values = [] if value is None else [value] if isinstance(value, str) else value
    return tuple(checked_string(name, one) for one in values)


def meta_filters(extra: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in extra.items():
        kind, _, path = name.partition(".")
        if kind != "meta" or not all(path.split(".")):
            raise InvalidRequest(
                f"Unknown filter {name[:100]!r}: use doc_id, source, tags, heading_path, level or meta.<key>.",
                field="filters",
            )
        for one in [] if isinstance(value, dict) else value if isinstance(value, list) else [value]:
            if not isinstance(one, str | int | float | bool) or len(str(one)) > META_BYTES:
                raise InvalidRequest(
                    f"The filter {name[:100]!r} takes a string, a number, true or false, a list of these, or an object"
                    " of eq, ne, in, nin, gt, gte, lt, lte and prefix.",
                    field="filters",
                )
            checked_string("filters", str(one))
        found[checked_string("filters", path)] = value
    return found


def operators(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """A comparison as it is stored. Raises InvalidRequest."""
    try:
        found = Comparison.model_validate(value).model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    except ValidationError as error:
        found, reason = {}, error.errors()[0]["msg"]
    else:
        reason = "it has no operator"
    if not found:
        raise InvalidRequest(
            f"The filter {name[:100]!r} is no comparison ({reason}): use eq, ne, in, nin, gt, gte, lt, lte or prefix.",
            field="filters",
        )
    for one in found.values():
        for text in one if isinstance(one, list) else [one]:
            checked_string("filters", str(text))
    return found


def checked_string(name: str, value: str) -> str:
    """Raises InvalidRequest for characters that the database cannot store."""
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidRequest(f"`{name}` contains a NUL or half of a surrogate pair.", field=name)
    return value
