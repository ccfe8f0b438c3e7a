"""Candidates for an answer with both their scores: BM25 over the postings, and likeness to the query's vector.

BM25 is exact: rarity and mean length are those of what is served and let through at this moment, counted from the very
postings that are read. Terms that are in no served text cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.served import ALLOWED, LIVE_TREE, SUMMARY_ALLOWED, document_conditions
from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.fusion import (
    REACH,
    Candidate,
    Moments,
    Population,
)
from services.retrieval.hits import Filters

# How an index orders, and what makes of its distance a score that grows with likeness. All vectors have length 1.
METRICS = {
    "hnsw_cosine": ("<=>", "1 - distance"),
    "hnsw_ip": ("<#>", "- distance"),
    "hnsw_l2": ("<->", "1 - distance * distance / 2"),
    "exact": ("<=>", "1 - distance"),
}

# Robertson and Zaragoza's k1 = 1.5, b = .75, idf as in Lucene.
# Materialised step by step: the planner takes each of these for one row and would loop over them row by row (184 ms
# instead of 20 for 1,500 passages).
BM25 = """
    rarity as (
        select l.term, ln(1 + (scope.nodes - sum(cardinality(l.places)) + 0.5::float8)
            / (sum(cardinality(l.places)) + 0.5::float8)) as weight
        from lists l cross join scope group by l.term, scope.nodes
    ),
    scored as materialized (
        select l.generation_id, l.level, u.place,
            sum(r.weight * u.frequency / (u.frequency + 0.375::float8 + 1.125::float8 * u.length / scope.mean)) as score
        from lists l join rarity r using (term) cross join scope
        cross join lateral unnest(l.places, l.frequencies, l.lengths) as u (place, frequency, length)
        group by l.generation_id, l.level, u.place
    ),
    best as materialized (
        select generation_id, level, place from scored order by score desc, generation_id, level, place limit :limit
    )
"""
MOMENTS = """
    (select nodes from scope) as nodes, (select coalesce(sum(score), 0) from scored) as total,
    (select coalesce(sum(score * score), 0) from scored) as squares
"""

# Vectors that mean and deviation of likeness are estimated from: a deviation to 1/sqrt(2 x 256), 4.4 %.
SAMPLE = 256


class Candidates(UnitOfWork):
    async def passages(
        self,
        dataset: Dataset,
        query: FloatArray,
        terms: Sequence[str],
        nearest: Sequence[UUID],
        limit: int,
        filters: Filters,
    ) -> Population:
        operator, score = METRICS[dataset.vector_index]
        documents, values = document_conditions(filters)
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)},
            scope as materialized (
                select coalesce(sum(nodes), 0)::float8 as nodes,
                    greatest(coalesce(sum(length), 0)::float8 / greatest(sum(nodes), 1), 1) as mean
                from posting_totals where tenant_id = :tenant and dataset_id = :dataset and level = 0
                    and generation_id in (select version_id from allowed)
            ),
            of_terms as materialized (
                select term, generation_id, level, places, frequencies, lengths from postings
                where tenant_id = :tenant and dataset_id = :dataset and term = any(:terms) and level = 0
            ),
            lists as materialized (select * from of_terms where generation_id in (select version_id from allowed)),
            {BM25},
            centres as (
                select generation_id, place from best
                union
                select c.version_id, c.idx from chunks c where c.tenant_id = :tenant and c.chunk_id = any(:nearest)
            ),
            wanted as materialized (
                select generation_id, place, bool_or(found) as found, max(score) as score from (
                    select generation_id, place + step as place, abs(step) <= 1 as found, null::float8 as score
                    from centres cross join generate_series(-{REACH}, {REACH}) as step
                    union all
                    select generation_id, place, null, score from scored
                ) both_kinds group by generation_id, place having bool_or(found) is not null
            )
            select node_id, 0 as level, generation_id, place, found, token_cnt, start_char, end_char, lexical,
                {score} as similarity, {MOMENTS}
            from (
                select c.chunk_id as node_id, w.generation_id, w.place, w.found, c.token_cnt, c.start_char, c.end_char,
                    coalesce(w.score, 0) as lexical, e.v {operator} :query as distance
                from wanted w
                join chunks c on c.tenant_id = :tenant and c.version_id = w.generation_id and c.idx = w.place
                join embeddings e on e.tenant_id = :tenant and e.dataset_id = :dataset and e.owner_type = 'chunk'
                    and e.owner_id = c.chunk_id and e.model = :model
            ) found
            order by generation_id, place
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            query=query,
            terms=list(terms),
            nearest=list(nearest),
            limit=limit,
            **values,
        )
        return population(rows, await self._likeness(dataset, query, "chunk"))

    async def summaries(
        self,
        dataset: Dataset,
        query: FloatArray,
        terms: Sequence[str],
        nearest: Sequence[UUID],
        limit: int,
        filters: Filters,
    ) -> Population:
        operator, score = METRICS[dataset.vector_index]
        documents, values = document_conditions(filters)
        restricted = f"and {SUMMARY_ALLOWED.format(node='n.node_id')}" if documents else ""
        levels = "and n.level = any(:levels)" if filters.level else ""
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)},
            live as materialized (
                select n.node_id, n.tree_id, n.level, n.position, n.token_cnt from tree_nodes n
                where n.tenant_id = :tenant and n.tree_id = {LIVE_TREE} and n.level > 0 and not n.stale
                    and n.text is not null {levels} {restricted}
            ),
            scope as materialized (
                select (select count(*) from live)::float8 as nodes,
                    greatest(coalesce(sum(length), 0)::float8 / greatest(sum(nodes), 1), 1) as mean
                from posting_totals where tenant_id = :tenant and dataset_id = :dataset and generation_id = {LIVE_TREE}
            ),
            lists as materialized (
                select p.term, p.generation_id, p.level, array_agg(u.place) as places,
                    array_agg(u.frequency) as frequencies, array_agg(u.length) as lengths
                from postings p
                cross join lateral unnest(p.places, p.frequencies, p.lengths) as u (place, frequency, length)
                where p.tenant_id = :tenant and p.dataset_id = :dataset and p.term = any(:terms)
                    and p.generation_id = {LIVE_TREE} and (p.level, u.place) in (select level, position from live)
                group by p.term, p.generation_id, p.level
            ),
            {BM25}
            select node_id, level, generation_id, place, true as found, token_cnt, 0 as start_char, 0 as end_char,
                lexical, {score} as similarity, {MOMENTS}
            from (
                select l.node_id, l.level, l.tree_id as generation_id, l.position as place, l.token_cnt,
                    coalesce(s.score, 0) as lexical, e.v {operator} :query as distance
                from live l
                join embeddings e on e.tenant_id = :tenant and e.dataset_id = :dataset
                    and e.owner_type = 'tree_node' and e.owner_id = l.node_id and e.model = :model
                left join scored s on s.level = l.level and s.place = l.position
                where l.node_id = any(:nearest) or (l.tree_id, l.level, l.position) in (select * from best)
            ) found
            order by level, place
            """,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            model=dataset.space.name,
            query=query,
            terms=list(terms),
            nearest=list(nearest),
            limit=limit,
            **({"levels": list(filters.level)} if filters.level else {}),
            **values,
        )
        return population(rows, await self._likeness(dataset, query, "tree_node"))

    async def _likeness(self, dataset: Dataset, query: FloatArray, owner_type: str) -> Moments:
        """Of vectors in the order of their owners' ids, which are hashes: a sample of chance, the same every time."""
        operator, score = METRICS[dataset.vector_index]
        row = await self.first(
            f"""
            select coalesce(avg(score), 0) as mean, coalesce(stddev_pop(score), 0) as deviation from (
                select {score} as score from (
                    select v {operator} :query as distance from embeddings
                    where tenant_id = :tenant and dataset_id = :dataset and owner_type = :owner_type
                        and model = :model
                    order by owner_id limit {SAMPLE}
                ) sampled
            ) scored
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            owner_type=owner_type,
            query=query,
        )
        assert row is not None
        return Moments(float(row["mean"]), float(row["deviation"]))


def population(rows: Sequence[RowMapping], similarity: Moments) -> Population:
    if not rows:
        return Population((), similarity, Moments(0.0, 0.0))
    nodes = max(float(rows[0]["nodes"]), 1.0)
    mean = float(rows[0]["total"]) / nodes
    variance = max(float(rows[0]["squares"]) / nodes - mean * mean, 0.0)
    candidates = [
        Candidate(
            node_id=row["node_id"],
            level=row["level"],
            generation_id=row["generation_id"],
            place=row["place"],
            similarity=float(row["similarity"]),
            lexical=float(row["lexical"]),
            token_cnt=row["token_cnt"],
            start=row["start_char"],
            end=row["end_char"],
            found=row["found"],
        )
        for row in rows
    ]
    return Population(candidates, similarity, Moments(mean, variance**0.5))
