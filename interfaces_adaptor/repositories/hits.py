"""What was found, as it is shown: text and place, and the way to the root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.statements import filter_values, statement
from services.domain import Dataset
from services.retrieval.hits import Ancestor, Filters, Hit, Scored

HITS, PATHS = statement("hits"), statement("paths")


class Hits(UnitOfWork):
    async def hits(self, dataset: Dataset, scored: Sequence[Scored], filters: Filters) -> list[Hit]:
        rows = await self.all(
            HITS,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            ids=[one.node_id for one in scored],
            **filter_values(filters),
        )
        by_id = {row["node_id"]: row for row in rows}
        return [hit_from(by_id[one.node_id], one) for one in scored if one.node_id in by_id]

    async def paths(self, dataset: Dataset, node_ids: Sequence[UUID]) -> Mapping[UUID, tuple[Ancestor, ...]]:
        rows = await self.all(PATHS, tree=dataset.live_tree_id, ids=list(node_ids))
        paths: dict[UUID, list[Ancestor]] = {}
        for row in rows:
            paths.setdefault(row["start"], []).append(Ancestor(row["node_id"], row["level"], row["title"]))
        return {node_id: tuple(path) for node_id, path in paths.items()}


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
        degraded=row["degraded"],
        table_header=row["table_header"],
        file_name=row["file_name"],
        document_title=row["document_title"],
    )
