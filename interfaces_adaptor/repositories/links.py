"""Links between the documents of a dataset, by the keys that meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete

from infra.db.schema import link_keys
from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.statements import statement
from services.domain import Dataset
from services.retrieval.linked import DocumentLinks, LinkedDocument
from services.text.links import names_linked_by

LINKS = statement("links")
MOST_SHOWN = 20


class Links(UnitOfWork):
    async def put_links(
        self,
        dataset_id: str,
        doc_id: str,
        file_name: str | None,
        source: str | None,
        aliases: Sequence[str],
        links: Sequence[str],
    ) -> None:
        """What the document is called and links to, in place of what was known."""
        of = link_keys.c
        await self.execute(
            delete(link_keys).where(self.own(link_keys), of.dataset_id == dataset_id, of.doc_id == doc_id)
        )
        names = names_linked_by(file_name, source, aliases)
        rows = [(dataset_id, doc_id, True, key) for key in names] + [(dataset_id, doc_id, False, key) for key in links]
        await self.copy("link_keys", ["dataset_id", "doc_id", "is_name", "key"], rows)

    async def links(self, dataset: Dataset, doc_ids: Sequence[str]) -> Mapping[str, DocumentLinks]:
        rows = await self.all(LINKS, dataset=dataset.dataset_id, doc_ids=list(doc_ids), limit=MOST_SHOWN)
        found = {doc_id: DocumentLinks([], []) for doc_id in doc_ids}
        for row in rows:
            other = LinkedDocument(row["other_id"], row["title"], row["source"])
            if row["outward"]:
                found[row["doc_id"]].outward.append((row["key"], other))
            else:
                found[row["doc_id"]].inward.append(other)
        return found


def aliases_of(value: Any) -> list[str]:
    """Texts of a field `aliases`, which may be one or a list."""
    return [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, str)]
