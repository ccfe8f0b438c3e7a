"""Which whole a question is about: a document, section or tag that it names, or all that the filters let through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.hits import Filters, Hit
from services.retrieval.query import Query
from services.retrieval.question import Asked, named
from services.retrieval.rank import rank
from services.retrieval.search_storage import SearchStorage
from utils.names import spoken_name

# Passages whose documents and headings are compared with what the question names.
COMPARED = 60
# Of a name, the share that the question has to say.
LEAST_NAMED = 0.5


@dataclass(frozen=True, slots=True)
class Scope:
    """What the filters let through; `name` is what the question calls it, "" where it names nothing."""

    filters: Filters
    name: str = ""


async def scope_of(
    work: SearchStorage, dataset: Dataset, query: Query, asked: Asked, vector: FloatArray
) -> Scope | None:
    """None where the question is not about a whole, or names something that is no document, section or tag."""
    if not asked.whole:
        return None
    if not asked.topic:
        return Scope(query.filters)
    scored = await rank(work, dataset, query, vector, "leaves")
    hits = await work.hits(dataset, scored[:COMPARED], query.filters)
    tags = () if query.filters.tags else await work.tags(dataset)
    return most_surely_named(asked, [*of_tags(tags, query.filters), *of_places(hits, query.filters)])


def most_surely_named(asked: Asked, scopes: Sequence[Scope]) -> Scope | None:
    """Of several that are named alike the first: the question's best hit stands in it."""
    best = max(scopes, key=lambda scope: named(asked, scope.name), default=None)
    return best if best is not None and named(asked, best.name) >= LEAST_NAMED else None


def of_tags(tags: Sequence[str], filters: Filters) -> Iterator[Scope]:
    for tag in tags:
        yield Scope(replace(filters, tags=(tag,)), name=tag)


def of_places(hits: Sequence[Hit], filters: Filters) -> Iterator[Scope]:
    """The documents and sections that the hits stand in, each once."""
    seen: set[tuple[str, tuple[str, ...], str]] = set()
    for hit in hits:
        if hit.doc_id is None:
            continue
        sections = [(hit.heading_path[: depth + 1], title) for depth, title in enumerate(hit.heading_path)]
        for section, name in [((), spoken_name(hit.source or hit.doc_id)), *sections]:
            if (hit.doc_id, section, name) not in seen:
                seen.add((hit.doc_id, section, name))
                # The hit stands in both sections, this one and the one that the filters ask for: in the narrower.
                narrower = max(section, filters.section, key=len)
                yield Scope(replace(filters, doc_id=(hit.doc_id,), section=narrower), name)
