"""Search in vectors: exact for a small dataset, through the dataset's own HNSW index for a large one.

Only what is served is searched, and filters are part of the statement: they hold before anything is ranked, so that
as many rows come back as match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.db.vector_indexes import index_name
from interfaces_adaptor.repositories.rows import TenantRows, as_json
from services.domain import Dataset, Filters, Hit, Scored
from services.ports import FloatArray

# How an index orders, and what makes of its distance a score that grows with likeness. All vectors have length 1.
METRICS = {
    "hnsw_cosine": ("<=>", "1 - distance"),
    "hnsw_ip": ("<#>", "- distance"),
    "hnsw_l2": ("<->", "1 - distance * distance / 2"),
    "exact": ("<=>", "1 - distance"),
}

# Versions that are served and that the filters let through.
ALLOWED = """
    allowed as materialized (
        select v.version_id from document_versions v
        join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
        where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready' and d.deleted_at is null
            {documents}
    )
"""

# A summary is let through only if every chunk that it was written from is: otherwise it would tell of what the
# filters leave out.
SUMMARY_ALLOWED = """
    not exists (
        select from tree_node_chunks p join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
        where p.tenant_id = :tenant and p.tree_id = :tree and p.node_id = {node}
            and c.version_id not in (select version_id from allowed)
    )
"""


class SqlSearch(TenantRows):
    async def embedded(self, dataset_id: str) -> bool:
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

    async def nearest(self, dataset: Dataset, query: FloatArray, limit: int, filters: Filters) -> list[Scored]:
        operator, score = METRICS[dataset.vector_index]
        documents, values = document_conditions(filters)
        restricted = "" if not documents else f" and {SUMMARY_ALLOWED.format(node='e.owner_id')}"
        levels = "and e.level = any(:levels)" if filters.level else ""
        order = f"e.v {operator} :query"
        if await self._has_index(dataset):
            await self.execute("set local hnsw.iterative_scan = relaxed_order")
            await self.execute(f"set local hnsw.ef_search = {max(EF_SEARCH, min(2 * limit, 1000))}")
            cast = f"halfvec({dataset.space.dimensions})"
            order = f"e.v::{cast} {operator} cast(cast(:query as vector) as {cast})"
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, found as (
                select e.owner_id, e.level, {order} as distance from embeddings e
                where e.tenant_id = :tenant and e.dataset_id = :dataset and e.model = :model {levels}
                    and (
                        e.owner_type = 'chunk' and e.generation_id in (select version_id from allowed)
                        or e.generation_id = :tree and exists (
                            select from tree_nodes n where n.tenant_id = e.tenant_id and n.tree_id = e.generation_id
                                and n.node_id = e.owner_id and not n.stale and n.text is not null
                        ) {restricted}
                    )
                order by {order} limit :limit
            )
            select owner_id, level, {score} as score from found order by distance, owner_id
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            tree=dataset.live_tree_id,
            query=query,
            limit=limit,
            **({"levels": list(filters.level)} if filters.level else {}),
            **values,
        )
        return [Scored(row["owner_id"], row["level"], float(row["score"])) for row in rows]

    async def root(self, dataset: Dataset, query: FloatArray) -> Scored | None:
        operator, score = METRICS[dataset.vector_index]
        row = await self.first(
            f"""
            select node_id, level, {score} as score from (
                select n.node_id, n.level, coalesce(e.v {operator} :query, 1) as distance from tree_nodes n
                left join embeddings e on e.tenant_id = n.tenant_id and e.dataset_id = :dataset
                    and e.owner_type = 'tree_node' and e.owner_id = n.node_id and e.model = :model
                where n.tenant_id = :tenant and n.tree_id = :tree and n.kind = 'root'
            ) found
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            tree=dataset.live_tree_id,
            query=query,
        )
        return Scored(row["node_id"], row["level"], float(row["score"])) if row else None

    async def children(
        self, dataset: Dataset, query: FloatArray, parents: Sequence[UUID], limit: int, filters: Filters
    ) -> list[Scored]:
        operator, score = METRICS[dataset.vector_index]
        documents, values = document_conditions(filters)
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, found as (
                select n.node_id, n.level, e.v {operator} :query as distance
                from tree_nodes n
                join embeddings e on e.tenant_id = n.tenant_id and e.dataset_id = :dataset and e.model = :model
                    and e.owner_id = n.node_id
                    and e.owner_type = case when n.level = 0 then 'chunk' else 'tree_node' end
                where n.tenant_id = :tenant and n.tree_id = :tree and n.node_id in (
                        select t.child_id from tree_edges t
                        where t.tenant_id = :tenant and t.tree_id = :tree and t.parent_id = any(:parents)
                    )
                    and exists (
                        select from chunks c
                        where c.tenant_id = :tenant and c.version_id in (select version_id from allowed)
                            and (c.chunk_id = n.chunk_id or n.level > 0 and exists (
                                select from tree_node_chunks p where p.tenant_id = :tenant and p.tree_id = :tree
                                    and p.node_id = n.node_id and p.chunk_id = c.chunk_id
                            ))
                    )
                order by distance limit :limit
            )
            select node_id, level, {score} as score from found order by distance, node_id
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            tree=dataset.live_tree_id,
            parents=list(parents),
            query=query,
            limit=limit,
            **values,
        )
        return [Scored(row["node_id"], row["level"], float(row["score"])) for row in rows]

    async def hits(self, dataset: Dataset, scored: Sequence[Scored], filters: Filters) -> list[Hit]:
        documents, values = document_conditions(filters)
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, wanted as (
                select * from unnest(cast(:ids as uuid[])) as w (node_id)
            )
            select w.node_id, 'leaf' as kind, n.title, c.text, c.token_cnt, c.doc_id, d.source, c.heading_path,
                c.start_char, c.end_char, array[c.chunk_id] as chunk_ids
            from wanted w
            join chunks c on c.tenant_id = :tenant and c.chunk_id = w.node_id
                and c.version_id in (select version_id from allowed)
            join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = c.doc_id
            left join tree_nodes n on n.tenant_id = :tenant and n.tree_id = :tree and n.node_id = w.node_id
            union all
            select n.node_id, n.kind, n.title, n.text, n.token_cnt, null, null, null, null, null, (
                select array_agg(p.chunk_id order by p.rank) from tree_node_chunks p
                where p.tenant_id = :tenant and p.tree_id = :tree and p.node_id = n.node_id
            )
            from wanted w
            join tree_nodes n on n.tenant_id = :tenant and n.tree_id = :tree and n.node_id = w.node_id
            where n.level > 0 and not n.stale and n.text is not null and {SUMMARY_ALLOWED.format(node="n.node_id")}
            """,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            ids=[one.node_id for one in scored],
            **values,
        )
        by_id = {row["node_id"]: row for row in rows}
        return [hit_from(by_id[one.node_id], one) for one in scored if one.node_id in by_id]

    async def _has_index(self, dataset: Dataset) -> bool:
        if dataset.vector_index == "exact":
            return False
        row = await self.first(
            """
            select coalesce(bool_and(i.indisvalid), false) as valid from pg_index i
            where i.indexrelid = to_regclass(:name)
            """,
            name=index_name(self.tenant, dataset.dataset_id, dataset.space.name, dataset.vector_index),
        )
        return bool(row and row["valid"])


# Measured on text vectors: below this recall at 10 falls under 0.98.
EF_SEARCH = 100


def document_conditions(filters: Filters) -> tuple[str, dict[str, Any]]:
    """SQL over `documents d`, and the values it binds."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if filters.doc_id:
        conditions.append("d.doc_id = any(:doc_ids)")
        values["doc_ids"] = list(filters.doc_id)
    if filters.source:
        conditions.append("d.source = any(:sources)")
        values["sources"] = list(filters.source)
    if filters.tags:
        conditions.append("jsonb_exists_any(d.tags, cast(:tags as text[]))")
        values["tags"] = list(filters.tags)
    for number, (path, wanted) in enumerate(sorted(filters.meta.items())):
        options = wanted if isinstance(wanted, list | tuple) else [wanted]
        conditions.append(f"d.extra_meta @> any(cast(:meta{number} as jsonb[]))")
        values[f"meta{number}"] = [as_json(nested(path.split("."), option)) for option in options]
    return "".join(f" and {condition}" for condition in conditions), values


def nested(path: Sequence[str], value: Any) -> Mapping[str, Any]:
    inner = value if len(path) == 1 else nested(path[1:], value)
    return {path[0]: inner}


def hit_from(row: RowMapping, scored: Scored) -> Hit:
    return Hit(
        node_id=row["node_id"],
        kind=row["kind"],
        level=scored.level,
        score=scored.score,
        title=row["title"],
        text=row["text"],
        token_cnt=row["token_cnt"],
        doc_id=row["doc_id"],
        source=row["source"],
        heading_path=tuple(row["heading_path"] or ()),
        start=row["start_char"],
        end=row["end_char"],
        chunk_ids=tuple(row["chunk_ids"] or ()),
    )
