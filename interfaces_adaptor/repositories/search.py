"""What retrieval asks of the database: the nearest nodes, candidates with both scores, children, texts, paths.

Only what is visible is searched, and filters are part of each statement (`statements/`): they hold before anything is
ranked, so that as many rows come back as match.
"""

from __future__ import annotations

from interfaces_adaptor.repositories.candidates import Candidates
from interfaces_adaptor.repositories.hits import Hits
from interfaces_adaptor.repositories.outline import Outline


class Search(Candidates, Hits, Outline):
    async def limit_time(self, seconds: float) -> None:
        await self.execute(f"set local statement_timeout = {int(1000 * seconds)}")

    async def has_embedded(self, dataset_id: str) -> bool:
        row = await self.first(
            """
            select exists (
                select from document_versions v join documents d
                    on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
                where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready'
                    and d.deleted_at is null
            ) as there
            """,
            dataset=dataset_id,
        )
        return bool(row and row["there"])
