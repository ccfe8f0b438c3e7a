"""What goes with a document beside its own rows: what models were paid to write from it, and work on it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete

from infra.db.schema import embeddings
from interfaces_adaptor.repositories.dataset_lock import DatasetLock


class Erasure(DatasetLock):
    async def erase_results(self, dataset_id: str, doc_ids: Sequence[str] | None = None) -> None:
        """What was written from these documents' text, or from that of any document of the dataset; what was written
        from the same text in another document is the same result, and goes too. The dataset is locked already."""
        # In the order of their keys, as they are written: two erasures then do not wait for each other in a circle.
        await self.execute(
            """
            with written as materialized (
                select m.key from model_calls m
                where m.tenant_id = :tenant and m.key in (
                    select s.key from model_call_sources s where s.tenant_id = :tenant and s.dataset_id = :dataset
                        and (cast(:docs as text[]) is null or s.doc_id = any(:docs))
                )
                order by m.key for update
            )
            delete from model_calls m using written where m.tenant_id = :tenant and m.key = written.key
            """,
            dataset=dataset_id,
            docs=list(doc_ids) if doc_ids is not None else None,
        )

    async def abandon_builds(self, versions: Sequence[UUID]) -> None:
        """Of a tree under construction nobody can say which vectors of summaries that are not stored yet tell of these
        versions: it goes without all of them, and its build begins anew."""
        begun = await self.all(
            """
            update trees t set state = 'superseded'
            where t.tenant_id = :tenant and t.state = 'building' and t.tree_id in (
                select n.tree_id from tree_nodes n
                join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
                where c.tenant_id = :tenant and c.version_id = any(:versions)
            )
            returning t.tree_id
            """,
            versions=list(versions),
        )
        abandoned = [row["tree_id"] for row in begun]
        await self.execute(delete(embeddings).where(self.own(embeddings), embeddings.c.generation_id.in_(abandoned)))
