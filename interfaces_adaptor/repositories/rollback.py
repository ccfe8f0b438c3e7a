"""Documents, versions and tree of a generation are served again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, update

from infra.db.schema import datasets, tree_nodes, trees
from interfaces_adaptor.repositories.trees import Trees
from services.tree.generations import Generation

LEAVES = """
    leaves as materialized (
        select distinct c.version_id, c.doc_id from tree_nodes n
        join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
        where n.tenant_id = :tenant and n.tree_id = :tree and n.level = 0
    )
"""

# What was served beside the tree when that was published: passages are before they are in a tree.
BESIDE = "r.ready_at < :published"


def under_way(version: str) -> str:
    """Whether the upload that brings a version in has not ended: it indexes, or waits for its tree."""
    return f"""exists (
        select from jobs j where j.tenant_id = {version}.tenant_id and j.job_id = {version}.job_id
            and j.status in ('queued', 'running')
    )"""


BACK = f"""
    with {LEAVES}
    select l.version_id from leaves l
    join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = l.doc_id
    where (d.deleted_at is null or d.deleted_at > :published) and not exists (
        select from document_versions r
        where r.tenant_id = :tenant and r.dataset_id = :dataset and r.doc_id = l.doc_id and r.state = 'ready'
            and r.version_id <> l.version_id and {BESIDE}
    )
"""

# One whose upload is under way waits again for the tree that it will go live with.
REPLACED = f"""
    update document_versions v set state = case when {under_way("v")} then 'indexing' else 'superseded' end,
        superseded_at = case when {under_way("v")} then null else now() end
    from document_versions b
    where b.tenant_id = :tenant and b.version_id = any(:back)
        and v.tenant_id = b.tenant_id and v.dataset_id = b.dataset_id and v.doc_id = b.doc_id
        and v.version_id <> b.version_id and v.state = 'ready'
"""

# `ready_at` moves where a version was not served in between: it tells what a later roll-back may leave alone.
SERVED = """
    update document_versions v set state = 'ready', superseded_at = null,
        ready_at = case when v.state = 'ready' and d.deleted_at is null then v.ready_at else now() end
    from documents d
    where v.tenant_id = :tenant and v.version_id = any(:back)
        and d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
"""

REVIVED = """
    update documents d set text = v.text, checksum = v.checksum, title = v.title, deleted_at = null, updated_at = now()
    from document_versions v
    where v.tenant_id = :tenant and v.version_id = any(:back)
        and d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
        and (d.deleted_at is not null or d.checksum <> v.checksum)
"""

# Served versions of documents that the generation did not have, and whether another upload of theirs is under way.
# Those whose own upload is under way are left alone.
LATER = f"""
    with {LEAVES}
    select r.version_id, r.doc_id, exists (
        select from document_versions v
        where v.tenant_id = r.tenant_id and v.dataset_id = r.dataset_id and v.doc_id = r.doc_id
            and v.state = 'indexing' and {under_way("v")}
    ) as coming
    from document_versions r
    join documents d on d.tenant_id = r.tenant_id and d.dataset_id = r.dataset_id and d.doc_id = r.doc_id
    where r.tenant_id = :tenant and r.dataset_id = :dataset and r.state = 'ready' and d.deleted_at is null
        and not exists (select from leaves l where l.version_id = r.version_id)
        and not ({BESIDE}) and not {under_way("r")}
"""

NOT_SERVED = f"""
    with {LEAVES}
    select l.version_id from leaves l
    join document_versions v on v.tenant_id = :tenant and v.version_id = l.version_id
    join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = l.doc_id
    where v.state <> 'ready' or d.deleted_at is not null
"""


OUTSIDE = f"""
    with {LEAVES}
    select exists (
        select from document_versions r
        join documents d on d.tenant_id = r.tenant_id and d.dataset_id = r.dataset_id and d.doc_id = r.doc_id
        where r.tenant_id = :tenant and r.dataset_id = :dataset and r.state = 'ready' and r.build_tree
            and d.deleted_at is null and not exists (select from leaves l where l.version_id = r.version_id)
            and not {under_way("r")}
    ) as outside
"""


class Rollback(Trees):
    async def restore_generation(self, dataset_id: str, generation: Generation) -> int:
        await self._restore_documents(dataset_id, generation)
        await self._put_away_later_documents(dataset_id, generation)
        await self._restore_staleness(dataset_id, generation.tree_id)
        await self._supersede(trees.c.dataset_id == dataset_id, trees.c.state == "live")
        await self.execute(
            update(trees)
            .where(self.own(trees), trees.c.tree_id == generation.tree_id)
            .values(state="live", published_at=func.now())
        )
        await self.execute(
            update(datasets)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .values(live_tree_id=generation.tree_id, updated_at=func.now())
        )
        return await self.begin_generation(
            dataset_id, generation.tree_id, "rolled_back", restored=generation.generation
        )

    async def is_behind(self, dataset_id: str, tree_id: UUID) -> bool:
        row = await self.first(OUTSIDE, dataset=dataset_id, tree=tree_id)
        return bool(row and row["outside"]) or await self.is_stale(tree_id)

    async def _restore_documents(self, dataset_id: str, generation: Generation) -> None:
        back = await self._versions(BACK, dataset_id, generation.tree_id, published=generation.published_at)
        for statement in (REPLACED, SERVED, REVIVED):
            await self.execute(statement, back=back)

    async def _put_away_later_documents(self, dataset_id: str, generation: Generation) -> None:
        """They are deleted softly, and can come back. Where an upload of the same document is under way, only the
        version is put away: the upload joins the next build."""
        later = await self.all(LATER, dataset=dataset_id, tree=generation.tree_id, published=generation.published_at)
        await self.execute(
            """
            update document_versions set state = 'superseded', superseded_at = now()
            where tenant_id = :tenant and version_id = any(:versions)
            """,
            versions=[row["version_id"] for row in later if row["coming"]],
        )
        await self.execute(
            """
            update documents set deleted_at = now(), updated_at = now()
            where tenant_id = :tenant and dataset_id = :dataset and doc_id = any(:documents)
            """,
            dataset=dataset_id,
            documents=[row["doc_id"] for row in later if not row["coming"]],
        )

    async def _restore_staleness(self, dataset_id: str, tree_id: UUID) -> None:
        """An empty text was erased, and with it what it was written from."""
        of = tree_nodes.c
        await self.execute(
            update(tree_nodes)
            .where(self.own(tree_nodes), of.tree_id == tree_id, of.stale, of.text.is_distinct_from(""))
            .values(stale=False)
        )
        await self.hide(await self._versions(NOT_SERVED, dataset_id, tree_id))

    async def _versions(self, statement: str, dataset_id: str, tree_id: UUID, **values: object) -> Sequence[UUID]:
        rows = await self.all(statement, dataset=dataset_id, tree=tree_id, **values)
        return [row["version_id"] for row in rows]
