"""The statements of retrieval, each whole in a file: to be read, explained and run in psql as they stand.

Visible is what stands in a served version that the filters let through (the CTE `allowed`); a summary is, if every
chunk that it was written from is: otherwise it would tell of what the filters leave out.

`(select cast(:tree as uuid))` hides the tree's value from the planner. A tree that was built a minute ago is in no
statistics: by its value the planner takes it for a single row, and read all of it once for each row of another table
(1.1 s instead of 8 ms for the texts of ten hits among 1,000 passages, until the next ANALYZE). As a subquery the
planner reckons with an average tree.

Conditions that a null or a boolean switches off cost nothing: plans are made for the values (`force_custom_plan`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import TextClause, text

from infra.uow.unit_of_work import as_json
from services.filter_fields import condition
from services.retrieval.hits import Filters

FOLDER = Path(__file__).parent


def statement(name: str, **shape: str) -> TextClause:
    """`shape` fills the places that cannot be bound."""
    sql = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    return text(sql.format(**shape) if shape else sql)


def filter_values(filters: Filters) -> dict[str, Any]:
    """What the statements bind for the filters on documents; `filtered`: whether there are any."""
    wanted = {f"meta.{path}": value for path, value in filters.meta.items()} | dict(filters.comparisons)
    fields = [
        condition(name, value if isinstance(value, Mapping) else {"in": value})
        for name, value in sorted([*wanted.items(), *([("tags", filters.tags)] if filters.tags else [])])
    ]
    values = {
        "doc_ids": list(filters.doc_id) or None,
        "sources": list(filters.source) or None,
        "fields": as_json(fields) if fields else None,
        "section": list(filters.section) or None,
    }
    return values | {"filtered": any(value is not None for value in values.values())}
