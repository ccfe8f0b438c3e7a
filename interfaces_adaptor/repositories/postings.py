"""Postings for BM25: a row holds a term and all places of one level of a generation in which it stands."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.uow.unit_of_work import UnitOfWork
from services.text.passage_text import indexed_passage
from services.text.postings import RULE, PostingLists, indexed_text, posting_lists


class Postings(UnitOfWork):
    async def add_postings(self, dataset_id: str, generation_id: UUID, lists: PostingLists) -> None:
        await self.copy(
            "postings",
            ["dataset_id", "term", "generation_id", "level", "places", "frequencies", "lengths"],
            (
                (
                    dataset_id,
                    posting.term,
                    generation_id,
                    lists.level,
                    posting.places,
                    posting.frequencies,
                    posting.lengths,
                )
                for posting in lists.postings
            ),
        )
        await self.copy(
            "posting_totals",
            ["dataset_id", "generation_id", "level", "nodes", "length", "rule"],
            [(dataset_id, generation_id, lists.level, lists.nodes, lists.length, RULE)],
        )

    async def remove_postings(self, generations: Sequence[UUID]) -> None:
        for table in ("postings", "posting_totals"):
            await self.execute(
                f"delete from {table} where tenant_id = :tenant and generation_id = any(:generations)",
                generations=list(generations),
            )

    async def remove_postings_written_from(self, versions: Sequence[UUID]) -> None:
        """The words of summaries that were written from these versions; the other summaries of the trees stay."""
        gone = """
            gone as materialized (
                select n.tree_id, n.level, array_agg(distinct n.position) as places
                from chunks c
                join tree_node_chunks p on p.tenant_id = c.tenant_id and p.chunk_id = c.chunk_id
                join tree_nodes n on n.tenant_id = p.tenant_id and n.tree_id = p.tree_id and n.node_id = p.node_id
                where c.tenant_id = :tenant and c.version_id = any(:versions)
                group by n.tree_id, n.level
            )
        """
        await self.execute(
            f"""
            with {gone} delete from postings p using gone
            where p.tenant_id = :tenant and p.generation_id = gone.tree_id and p.level = gone.level
                and p.places <@ gone.places
            """,
            versions=list(versions),
        )
        await self.execute(
            f"""
            with {gone} update postings p set (places, frequencies, lengths) = (
                select array_agg(u.place order by u.at), array_agg(u.frequency order by u.at),
                    array_agg(u.length order by u.at)
                from unnest(p.places, p.frequencies, p.lengths) with ordinality as u (place, frequency, length, at)
                where u.place <> all(gone.places)
            )
            from gone
            where p.tenant_id = :tenant and p.generation_id = gone.tree_id and p.level = gone.level
                and p.places && gone.places
            """,
            versions=list(versions),
        )

    async def index_missing(self) -> None:
        """Postings of what was stored before there were any, or by another rule; a version or a level of a tree at a
        time, so that memory holds one document."""
        for table in ("postings", "posting_totals"):
            await self.execute(f"delete from {table} p where p.tenant_id = :tenant and {OF_ANOTHER_RULE}", rule=RULE)
        for row in await self.all(VERSIONS_WITHOUT_POSTINGS):
            chunks = await self.all(
                """
                select heading_path, text, meta from chunks where tenant_id = :tenant and version_id = :version
                order by idx
                """,
                version=row["generation_id"],
            )
            texts = [indexed_passage(chunk["heading_path"], chunk["text"], chunk["meta"]) for chunk in chunks]
            await self.add_postings(row["dataset_id"], row["generation_id"], posting_lists(0, texts))
        for row in await self.all(LEVELS_WITHOUT_POSTINGS):
            nodes = await self.all(
                """
                select title, text from tree_nodes where tenant_id = :tenant and tree_id = :tree and level = :level
                order by position
                """,
                tree=row["generation_id"],
                level=row["level"],
            )
            texts = [indexed_text((node["title"] or "",), node["text"] or "") for node in nodes]
            await self.add_postings(row["dataset_id"], row["generation_id"], posting_lists(row["level"], texts))


OF_ANOTHER_RULE = """
    p.generation_id in (select t.generation_id from posting_totals t where t.tenant_id = :tenant and t.rule <> :rule)
"""
VERSIONS_WITHOUT_POSTINGS = """
    select v.dataset_id, v.version_id as generation_id from document_versions v
    where v.tenant_id = :tenant and exists (
        select from chunks c where c.tenant_id = v.tenant_id and c.version_id = v.version_id
    ) and not exists (
        select from posting_totals p where p.tenant_id = v.tenant_id and p.generation_id = v.version_id
    )
"""
LEVELS_WITHOUT_POSTINGS = """
    select distinct t.dataset_id, n.tree_id as generation_id, n.level from tree_nodes n
    join trees t on t.tenant_id = n.tenant_id and t.tree_id = n.tree_id
    where n.tenant_id = :tenant and n.level > 0 and n.text is not null and not exists (
        select from posting_totals p
        where p.tenant_id = n.tenant_id and p.generation_id = n.tree_id and p.level = n.level
    )
"""
