"""What the passages that were found link to, and what links to their documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.text.links import links_in

if TYPE_CHECKING:
    from services.retrieval.hits import Hit


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    doc_id: str
    title: str | None
    source: str | None


@dataclass(slots=True)
class DocumentLinks:
    """Of a document: what it links to, by the key of the link, and what links to it."""

    outward: list[tuple[str, LinkedDocument]]
    inward: list[LinkedDocument]


def linked(hits: Sequence[Hit], links: Mapping[str, DocumentLinks]) -> list[Hit]:
    """The hits with their links: a passage has those that stand in its own text."""
    return [with_links(hit, links[hit.doc_id]) if hit.doc_id is not None else hit for hit in hits]


def with_links(hit: Hit, links: DocumentLinks) -> Hit:
    if not links.outward and not links.inward:
        return hit
    said = set(links_in(hit.text, hit.source))
    outward = dict.fromkeys(other for key, other in links.outward if key in said)
    return replace(hit, links=tuple(outward), linked_from=tuple(links.inward))
