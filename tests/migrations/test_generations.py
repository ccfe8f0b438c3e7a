"""Datasets of before have a history that begins with what is live."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import create_async_engine

from app.resources import migrations_folder
from infra.db.comments import apply_comments
from infra.db.engine import asyncpg_url
from infra.db.migrate import Migrations
from tests.client import ApiClient
from tests.factories import page


async def test_a_live_tree_of_before_is_generation_one(api: ApiClient, running: None, database_url: str) -> None:
    for topic in ("bees", "salt", "maps"):
        await api.ingest(page(topic), name=f"{topic}.md")
    before = await api.data("/v1/datasets/ds")
    await api.ingest(page("bees"), name="bees.md", dataset="without", build_tree="false")

    migrations = Migrations(migrations_folder())
    engine = create_async_engine(asyncpg_url(database_url))
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: migrations.downgrade(sync, "0004"))
        await connection.run_sync(migrations.upgrade)
        await connection.run_sync(apply_comments)
        await connection.commit()
    await engine.dispose()

    after = await api.data("/v1/datasets/ds")
    assert after["live_tree"] == before["live_tree"]
    (only,) = (await api.data("/v1/datasets/ds/generations"))["items"]
    assert (only["generation"], only["state"], only["documents"], only["added"]) == (1, "live", 3, None)
    assert only["tree_id"] == after["live_tree"]["tree_id"]
    assert only["published_at"] == after["live_tree"]["published_at"]
    assert (await api.data("/v1/datasets/without/generations"))["items"] == []

    await api.ingest(page("paper"), name="paper.md")
    assert (await api.data("/v1/datasets/ds"))["generation"] == 2
    assert [one["added"] for one in (await api.data("/v1/datasets/ds/generations"))["items"]] == [1, None]
