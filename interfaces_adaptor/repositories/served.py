"""What retrieval may see, as SQL: the served versions that the filters let through, and the summaries over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.uow.unit_of_work import as_json
from services.retrieval.hits import Filters

# Versions that are served and that the filters let through.
ALLOWED = """
    allowed as materialized (
        select v.version_id, v.chunk_count from document_versions v
        join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
        where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready' and d.deleted_at is null
            {documents}
    )
"""

# The tree that is served. A tree that was built a minute ago is in no statistics: by its value the planner takes it for
# a single row, and reads all of it once for each row of another table (1.1 s instead of 8 ms for the texts of ten hits
# among 1,000 passages, until the next ANALYZE). As a subquery the value is hidden from it, and it reckons with an
# average tree.
LIVE_TREE = "(select cast(:tree as uuid))"

# A summary is let through only if every chunk that it was written from is: otherwise it would tell of what the
# filters leave out.
SUMMARY_ALLOWED = f"""
    not exists (
        select from tree_node_chunks p join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
        where p.tenant_id = :tenant and p.tree_id = {LIVE_TREE} and p.node_id = {{node}}
            and c.version_id not in (select version_id from allowed)
    )
"""


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
    return {path[0]: nested(path[1:], value) if len(path) > 1 else value}
