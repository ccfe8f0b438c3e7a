"""What clients list and look at, read in the shape that they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.db.vector_indexes import index_name
from interfaces_adaptor.repositories import jobs, trees
from interfaces_adaptor.repositories.datasets import space_from
from interfaces_adaptor.repositories.documents import chunk_from, chunking_from
from interfaces_adaptor.repositories.rows import TenantRows
from services.catalog import DatasetEntry, DocumentEntry, IndexEntry, Neighbour, NodeDetail, NodeEntry
from services.domain import Chunk, Document, DocumentVersion, Job, Tree
from services.errors import AmbiguousDocument, DatasetNotFound, DocumentNotFound, NodeNotFound, TreeNotFound

DOCUMENT = """
    select d.dataset_id, d.doc_id, d.file_name, d.title, d.source, d.tags, d.extra_meta, d.checksum, d.created_at,
        d.updated_at, d.deleted_at, v.version_id, v.state, v.chunk_count {text}
    from documents d
    left join lateral (
        select v.version_id, v.state, v.chunk_count from document_versions v
        where v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
        order by v.number desc limit 1
    ) v on true
    where d.tenant_id = :tenant and (d.deleted_at is null or :deleted)
"""

# Counts and states of a dataset, in one statement so that they belong together.
DATASET = """
    select s.*, coalesce(n.documents, 0) as documents, coalesce(n.chunks, 0) as chunks,
        coalesce(n.outside, 0) as outside, coalesce(v.total, 0) as total, coalesce(v.embedded, 0) as embedded,
        coalesce(v.running, 0) as running, f.error, to_jsonb(u) as usage
    from datasets s
    left join lateral (
        select count(*) as documents, sum(v.chunk_count) as chunks,
            count(*) filter (where s.live_tree_id is not null and not exists (
                select from chunks c join tree_nodes t on t.tenant_id = c.tenant_id and t.chunk_id = c.chunk_id
                where c.tenant_id = v.tenant_id and c.version_id = v.version_id and t.tree_id = s.live_tree_id
            )) as outside
        from documents d
        left join document_versions v on v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id
            and v.doc_id = d.doc_id and v.state = 'ready'
        where d.tenant_id = s.tenant_id and d.dataset_id = s.dataset_id and d.deleted_at is null
    ) n on true
    left join lateral (
        select count(*) as total, count(v.embedded_at) as embedded,
            count(*) filter (where v.state = 'indexing' and v.embedded_at is null and exists (
                select from jobs j where j.tenant_id = v.tenant_id and j.version_id = v.version_id
                    and j.status = 'running'
            )) as running
        from document_versions v
        join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
        where v.tenant_id = s.tenant_id and v.dataset_id = s.dataset_id and d.deleted_at is null
            and v.state in ('indexing', 'ready')
    ) v on true
    left join lateral (
        select j.error from jobs j
        join document_versions v on v.tenant_id = j.tenant_id and v.version_id = j.version_id
        where j.tenant_id = s.tenant_id and j.dataset_id = s.dataset_id and j.status = 'failed' and v.state = 'failed'
        order by j.created_at desc limit 1
    ) f on true
    left join lateral (
        select coalesce(sum(calls), 0) as calls, coalesce(sum(input_tokens), 0) as input_tokens,
            coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(cached_tokens), 0) as cached_tokens,
            coalesce(sum(cache_hits), 0) as cache_hits, coalesce(sum(cost), 0) as cost
        from usage_ledger l
        where l.tenant_id = s.tenant_id and l.dataset_id = s.dataset_id
            and l.day >= (s.created_at at time zone 'utc')::date
    ) u on true
    where s.tenant_id = :tenant
"""

NODE = """
    select n.node_id, n.tree_id, n.level, n.position, n.kind, n.title, coalesce(n.text, c.text) as text, n.token_cnt,
        n.stale, n.meta, c.doc_id, c.heading_path, c.start_char, c.end_char,
        (select count(*) from tree_edges e where e.tenant_id = n.tenant_id and e.tree_id = n.tree_id
            and e.parent_id = n.node_id) as children,
        (select e.parent_id from tree_edges e where e.tenant_id = n.tenant_id and e.tree_id = n.tree_id
            and e.child_id = n.node_id and e.is_primary) as primary_parent
    from tree_nodes n
    left join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
"""


class SqlCatalog(TenantRows):
    async def datasets(self, after: tuple[str] | None, limit: int) -> list[DatasetEntry]:
        rows = await self.all(
            f"{DATASET} and (cast(:after as text) is null or s.dataset_id > :after) order by s.dataset_id limit :limit",
            after=after[0] if after else None,
            limit=limit,
        )
        return [await self._dataset_from(row) for row in rows]

    async def dataset(self, dataset_id: str) -> DatasetEntry:
        row = await self.first(f"{DATASET} and s.dataset_id = :dataset", dataset=dataset_id)
        if row is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        return await self._dataset_from(row)

    async def _dataset_from(self, row: RowMapping) -> DatasetEntry:
        live = None
        if row["live_tree_id"] is not None:
            found = await self.first(
                f"select {trees.COLUMNS} from trees where tenant_id = :tenant and tree_id = :tree",
                tree=row["live_tree_id"],
            )
            live = trees.tree_from(found) if found else None
        return DatasetEntry(
            dataset_id=row["dataset_id"],
            space=space_from(row),
            vector_index=row["vector_index"],
            settings=row["settings"],
            documents=row["documents"],
            chunks=int(row["chunks"]),
            live_tree=live,
            wanted_revision=row["wanted_revision"],
            built_revision=row["built_revision"],
            embedding_status=embedding_status(row),
            embedding_progress=row["embedded"] / row["total"] if row["total"] else 0.0,
            embedding_error=row["error"],
            documents_outside_tree=row["outside"],
            usage={name: float(value) for name, value in row["usage"].items()},
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )

    async def documents(self, dataset_id: str, after: tuple[datetime, str] | None, limit: int) -> list[DocumentEntry]:
        beyond, values = (
            ("", {})
            if after is None
            else (
                "and (d.created_at, d.doc_id) > (:at, :doc)",
                {"at": after[0], "doc": after[1]},
            )
        )
        rows = await self.all(
            f"{DOCUMENT.format(text='')} and d.dataset_id = :dataset {beyond}"
            " order by d.created_at, d.doc_id limit :limit",
            dataset=dataset_id,
            limit=limit,
            deleted=False,
            **values,
        )
        return [entry_from(row) for row in rows]

    async def document(self, doc_id: str, dataset_id: str | None, *, deleted: bool = False) -> DocumentEntry:
        rows = await self.all(
            f"{DOCUMENT.format(text=', d.text')} and d.doc_id = :doc"
            " and (cast(:dataset as text) is null or d.dataset_id = :dataset) order by d.dataset_id limit 2",
            doc=doc_id,
            dataset=dataset_id,
            deleted=deleted,
        )
        if not rows:
            raise DocumentNotFound(doc_id=doc_id)
        if len(rows) > 1:
            raise AmbiguousDocument(doc_id=doc_id, datasets=[row["dataset_id"] for row in rows])
        return entry_from(rows[0], rows[0]["text"])

    async def versions(self, dataset_id: str, doc_id: str) -> list[DocumentVersion]:
        rows = await self.all(
            """
            select version_id, dataset_id, doc_id, number, state, checksum, embed_model, chunker, chunk_size,
                chunk_overlap, refine, build_tree, chunk_count, created_at, embedded_at, ready_at, superseded_at
            from document_versions where tenant_id = :tenant and dataset_id = :dataset and doc_id = :doc
            order by number desc
            """,
            dataset=dataset_id,
            doc=doc_id,
        )
        return [version_from(row) for row in rows]

    async def chunks(self, version_id: UUID, after: tuple[int] | None, limit: int) -> list[Chunk]:
        rows = await self.all(
            """
            select * from chunks where tenant_id = :tenant and version_id = :version and idx > :after
            order by idx limit :limit
            """,
            version=version_id,
            after=after[0] if after else -1,
            limit=limit,
        )
        return [chunk_from(row) for row in rows]

    async def jobs(
        self,
        after: tuple[datetime, UUID] | None,
        limit: int,
        *,
        status: str | None,
        dataset_id: str | None,
    ) -> list[Job]:
        conditions: list[str] = []
        values: dict[str, Any] = {}
        if after is not None:
            conditions.append("and (created_at, job_id) < (:at, :job)")
            values |= {"at": after[0], "job": after[1]}
        if status is not None:
            conditions.append("and status = :status")
            values["status"] = status
        if dataset_id is not None:
            conditions.append("and dataset_id = :dataset")
            values["dataset"] = dataset_id
        rows = await self.all(
            f"select {jobs.COLUMNS} from jobs where tenant_id = :tenant {' '.join(conditions)}"
            " order by created_at desc, job_id desc limit :limit",
            limit=limit,
            **values,
        )
        return [jobs.job_from(row) for row in rows]

    async def tree(self, dataset_id: str) -> Tree:
        there = await self.first(
            "select live_tree_id from datasets where tenant_id = :tenant and dataset_id = :dataset",
            dataset=dataset_id,
        )
        if there is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        row = await self.first(
            f"select {trees.COLUMNS} from trees where tenant_id = :tenant and tree_id = :tree",
            tree=there["live_tree_id"],
        )
        if row is None:
            raise TreeNotFound(dataset_id=dataset_id)
        return trees.tree_from(row)

    async def level_sizes(self, tree_id: UUID) -> dict[int, int]:
        rows = await self.all(
            """
            select level, count(*) as nodes from tree_nodes
            where tenant_id = :tenant and tree_id = :tree group by level order by level desc
            """,
            tree=tree_id,
        )
        return {row["level"]: row["nodes"] for row in rows}

    async def nodes(
        self, tree_id: UUID, after: tuple[int, int] | None, limit: int, *, level: int | None
    ) -> list[NodeEntry]:
        conditions: list[str] = []
        values: dict[str, Any] = {}
        if after is not None:
            conditions.append("and (-n.level, n.position) > (:level_after, :position_after)")
            values |= {"level_after": -after[0], "position_after": after[1]}
        if level is not None:
            conditions.append("and n.level = :level")
            values["level"] = level
        rows = await self.all(
            f"{NODE} where n.tenant_id = :tenant and n.tree_id = :tree {' '.join(conditions)}"
            " order by n.level desc, n.position limit :limit",
            tree=tree_id,
            limit=limit,
            **values,
        )
        return [node_from(row) for row in rows]

    async def node(self, node_id: UUID) -> NodeDetail:
        row = await self.first(
            f"""{NODE} join datasets s on s.tenant_id = n.tenant_id and s.live_tree_id = n.tree_id
                where n.tenant_id = :tenant and n.node_id = :node""",
            node=node_id,
        )
        if row is None:
            raise NodeNotFound(node_id=node_id.hex)
        tree_id = row["tree_id"]
        dataset = await self.first(
            "select dataset_id from trees where tenant_id = :tenant and tree_id = :tree", tree=tree_id
        )
        assert dataset is not None
        return NodeDetail(
            node=node_from(row),
            dataset_id=dataset["dataset_id"],
            tree_id=tree_id,
            meta=row["meta"],
            parents=await self._neighbours(tree_id, node_id, "parent_id", "child_id"),
            children=await self._neighbours(tree_id, node_id, "child_id", "parent_id"),
            chunks=await self._chunks_under(tree_id, node_id, leaf=row["level"] == 0),
        )

    async def _neighbours(self, tree_id: UUID, node_id: UUID, far: str, near: str) -> Sequence[Neighbour]:
        rows = await self.all(
            f"""
            select n.node_id, n.level, n.kind, n.title, e.weight, e.is_primary
            from tree_edges e join tree_nodes n
                on n.tenant_id = e.tenant_id and n.tree_id = e.tree_id and n.node_id = e.{far}
            where e.tenant_id = :tenant and e.tree_id = :tree and e.{near} = :node order by e.position, n.position
            """,
            tree=tree_id,
            node=node_id,
        )
        return [Neighbour(**dict(row)) for row in rows]

    async def _chunks_under(self, tree_id: UUID, node_id: UUID, *, leaf: bool) -> Sequence[Chunk]:
        if leaf:
            rows = await self.all("select * from chunks where tenant_id = :tenant and chunk_id = :node", node=node_id)
        else:
            rows = await self.all(
                """
                select c.* from tree_node_chunks p
                join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
                where p.tenant_id = :tenant and p.tree_id = :tree and p.node_id = :node order by p.rank limit 500
                """,
                tree=tree_id,
                node=node_id,
            )
        return [chunk_from(row) for row in rows]

    async def queue(self) -> dict[str, int]:
        rows = await self.all("select status, count(*) as n from jobs where tenant_id = :tenant group by status")
        found = {row["status"]: row["n"] for row in rows}
        return {name: found.get(name, 0) for name in ("queued", "running", "succeeded", "failed", "cancelled")}

    async def indexes(self) -> list[IndexEntry]:
        rows = await self.all(
            """
            select s.dataset_id, s.embed_provider, s.embed_model, s.embed_dim, s.vector_index,
                s.wanted_revision > s.built_revision as dirty,
                (select count(*) from embeddings e where e.tenant_id = s.tenant_id and e.dataset_id = s.dataset_id)
                    as vectors
            from datasets s where s.tenant_id = :tenant order by s.dataset_id
            """
        )
        valid = await self.all(
            """
            select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
            where i.indisvalid and c.relname = any(:names)
            """,
            names=[self._index_of(row) for row in rows],
        )
        indexed = {row["relname"] for row in valid}
        return [
            IndexEntry(
                dataset_id=row["dataset_id"],
                space=space_from(row),
                vectors=row["vectors"],
                vector_index=row["vector_index"],
                indexed=self._index_of(row) in indexed,
                dirty=row["dirty"],
            )
            for row in rows
        ]

    def _index_of(self, row: RowMapping) -> str:
        return index_name(self.tenant, row["dataset_id"], space_from(row).name, row["vector_index"])


def embedding_status(row: RowMapping) -> Any:
    if row["running"]:
        return "running"
    if row["embedded"] < row["total"]:
        return "pending"
    if row["error"] is not None:
        return "failed"
    return "done" if row["total"] else "not_started"


def entry_from(row: RowMapping, text: str | None = None) -> DocumentEntry:
    described = (
        *("dataset_id", "doc_id", "file_name", "title", "source", "tags", "extra_meta", "checksum"),
        *("created_at", "updated_at", "deleted_at"),
    )
    return DocumentEntry(
        document=Document(**{name: row[name] for name in described}),
        status=row["state"] or "indexing",
        version_id=row["version_id"],
        chunks=row["chunk_count"] or 0,
        text=text,
    )


def version_from(row: RowMapping) -> DocumentVersion:
    plain = {
        name: value for name, value in row.items() if name not in ("chunker", "chunk_size", "chunk_overlap", "refine")
    }
    return DocumentVersion(**plain, chunking=chunking_from(row))


def node_from(row: RowMapping) -> NodeEntry:
    return NodeEntry(
        node_id=row["node_id"],
        level=row["level"],
        position=row["position"],
        kind=row["kind"],
        title=row["title"],
        text=None if row["stale"] else row["text"],
        token_cnt=row["token_cnt"],
        stale=row["stale"],
        children=row["children"],
        primary_parent=row["primary_parent"],
        doc_id=row["doc_id"],
        heading_path=tuple(row["heading_path"] or ()),
        start=row["start_char"],
        end=row["end_char"],
    )
