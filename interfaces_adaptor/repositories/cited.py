"""What an answer cites: the passages that say it, and where in a file they stand."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.versions import chunk_from
from services.domain import Chunk
from services.retrieval.answer import Place


class Cited(UnitOfWork):
    async def chunks_with(
        self, dataset_id: str, chunk_ids: Sequence[UUID], words: Sequence[str], limit: int
    ) -> list[Chunk]:
        rows = await self.all(
            """
            select c.* from chunks c
            join document_versions v on v.tenant_id = c.tenant_id and v.version_id = c.version_id
            join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
            where c.tenant_id = :tenant and c.chunk_id = any(:chunks) and v.dataset_id = :dataset
                and v.state = 'ready' and d.deleted_at is null
            order by (
                select count(*) from unnest(cast(:words as text[])) as w (word)
                where position(w.word in lower(c.text)) > 0
            ) desc, c.chunk_id
            limit :limit
            """,
            dataset=dataset_id,
            chunks=list(chunk_ids),
            words=list(words),
            limit=limit,
        )
        return [chunk_from(row) for row in rows]

    async def place_of(self, chunk_id: UUID, start: int, end: int) -> Place | None:
        row = await self.first(
            """
            select coalesce(d.source, d.file_name) as file, c.heading_path,
                1 + regexp_count(left(v.text, :start), E'\n') as first_line,
                1 + regexp_count(left(v.text, greatest(:end - 1, 0)), E'\n') as last_line
            from chunks o
            join document_versions v on v.tenant_id = o.tenant_id and v.version_id = o.version_id
            join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
            join lateral (
                select heading_path from chunks
                where tenant_id = o.tenant_id and version_id = o.version_id and start_char <= :start
                order by idx desc limit 1
            ) c on true
            where o.tenant_id = :tenant and o.chunk_id = :chunk and v.state = 'ready' and d.deleted_at is null
            """,
            chunk=chunk_id,
            start=start,
            end=end,
        )
        if row is None:
            return None
        return Place(row["file"], tuple(row["heading_path"] or ()), row["first_line"], row["last_line"])
