"""What was stored before there were postings is indexed when the schema is brought up to date."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import bring_up_to_date
from app.resources import migrations_folder
from infra.db.engine import asyncpg_url
from infra.db.migrate import Migrations
from interfaces_adaptor.repositories.catching_up import catch_up
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


FIELDS = "select doc_id, fields from documents order by 1"
LINKS = "select doc_id, is_name, key from link_keys order by 1, 2, 3"


async def test_postings_of_another_rule_and_missing_fields_and_links_are_made_anew(
    api: ApiClient, running: None, database_url: str
) -> None:
    await api.ingest("---\ntags: [a]\nstatus: Draft\n---\n\n# A\n\nSee [b](b.md) 4.7.3.\n", source="a.md")
    engine = create_async_engine(asyncpg_url(database_url))
    async with engine.connect() as connection:
        questions = (POSTINGS, TOTALS, FIELDS, LINKS)
        before = [(await connection.execute(text(sql))).all() for sql in questions]
        assert all(before)
        await connection.execute(text("update posting_totals set rule = 1, length = 1"))
        await connection.execute(text("update postings set frequencies = places"))
        await connection.execute(text("update documents set fields = null"))
        await connection.execute(text("delete from link_keys"))
        await connection.commit()
        await catch_up(engine)
        assert [(await connection.execute(text(sql))).all() for sql in questions] == before
    await engine.dispose()
