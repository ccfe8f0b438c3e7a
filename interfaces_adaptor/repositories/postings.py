"""Postings for BM25: a row holds a term and all places of one level of a generation in which it stands."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.uow.unit_of_work import UnitOfWork
from services.text.postings import PostingLists


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
            ["dataset_id", "generation_id", "level", "nodes", "length"],
            [(dataset_id, generation_id, lists.level, lists.nodes, lists.length)],
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
