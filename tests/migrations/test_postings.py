"""What was stored before there were postings is indexed when the schema is brought up to date."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import bring_up_to_date
from app.resources import migrations_folder
from infra.db.engine import asyncpg_url
from infra.db.migrate import Migrations
from tests.client import ApiClient
from tests.factories import handbook

POSTINGS = (
    "select dataset_id, term, generation_id, level, places, frequencies, lengths from postings order by 1, 2, 3, 4"
)
TOTALS = "select dataset_id, generation_id, level, nodes, length from posting_totals order by 1, 2, 3"


async def test_an_older_database_is_indexed_as_a_new_one_is(api: ApiClient, running: None, database_url: str) -> None:
    await api.ingest(handbook(6))
    engine = create_async_engine(asyncpg_url(database_url))
    migrations = Migrations(migrations_folder())
    async with engine.connect() as connection:
        before = [(await connection.execute(text(sql))).all() for sql in (POSTINGS, TOTALS)]
        assert all(before)
        await connection.run_sync(lambda sync: migrations.downgrade(sync, "0001"))
        await connection.commit()
        await bring_up_to_date(database_url)
        assert [(await connection.execute(text(sql))).all() for sql in (POSTINGS, TOTALS)] == before
    await engine.dispose()
