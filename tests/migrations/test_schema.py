"""The schema, the migrations and Database.md say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.resources import migrations_folder
from infra.db.comments import apply_comments
from infra.db.describe import described
from infra.db.engine import asyncpg_url
from infra.db.migrate import Migrations, migrate
from infra.db.schema import metadata

ROOT = Path(__file__).parents[2]
NAMED_BY_THE_CONTRACT = {
    "documents", "document_versions", "chunks", "embeddings", "trees", "tree_nodes", "tree_edges", "tree_node_chunks",
    "datasets", "jobs", "model_calls", "job_secrets", "tenants", "api_keys",
}  # fmt: skip
OF_PROVIDERS = {"provider_limits", "provider_calls"}  # a provider counts by key, whoever's context a call is on


def differences(connection: Connection) -> list[object]:
    def ours(_item: object, name: str | None, _kind: str, _reflected: bool, _to: object) -> bool:
        return not (name or "").startswith(("procrastinate_", "idx_procrastinate_", "alembic_", "hnsw_"))

    context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_what_the_schema_describes(database_url: str) -> None:
    engine = create_async_engine(asyncpg_url(database_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_every_revision_goes_down_and_up_again(database_url: str) -> None:
    migrations = Migrations(migrations_folder())
    engine = create_async_engine(asyncpg_url(database_url))
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: migrations.downgrade(sync, "base"))
        await connection.commit()
        left = await connection.scalars(
            text(
                "select tablename from pg_tables"
                " where schemaname = 'public' and tablename !~ '^(procrastinate|alembic)'"
            )
        )
        assert list(left) == []
        await connection.run_sync(migrations.upgrade)
        await connection.run_sync(apply_comments)
        await connection.commit()
        assert await connection.run_sync(differences) == []
        assert await connection.scalar(text("select tenant_id from tenants")) == "default"
    await engine.dispose()


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    await migrate(database_url, Migrations(migrations_folder()))


def test_all_tables_that_the_contract_names_are_there_with_a_tenant_on_every_row() -> None:
    tables = metadata.tables
    assert set(tables) >= NAMED_BY_THE_CONTRACT
    for name, table in tables.items():
        if name in OF_PROVIDERS:
            continue
        keys = [column.name for column in table.primary_key.columns]
        assert keys[0] == "tenant_id", table.name
        for foreign_key in table.foreign_key_constraints:
            assert next(iter(foreign_key.columns)).name == "tenant_id", foreign_key.name
            assert foreign_key.ondelete, foreign_key.name


def test_names_follow_the_convention() -> None:
    patterns = {
        "PrimaryKeyConstraint": "pk_",
        "ForeignKeyConstraint": "fk_",
        "UniqueConstraint": "uq_",
        "CheckConstraint": "ck_",
    }
    for table in metadata.tables.values():
        for constraint in table.constraints:
            assert str(constraint.name).startswith(patterns[type(constraint).__name__] + table.name)
        for index in table.indexes:
            assert re.match(rf"(ix|uq)_{table.name}_", str(index.name))


def test_database_md_has_the_tables_that_the_schema_has() -> None:
    page = (ROOT / "Database.md").read_text(encoding="utf-8")
    assert page == described(page), "run `make schema`"


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_each_table_stands_in_the_diagram_and_says_what_each_column_means(table: str) -> None:
    diagram = re.search(r"```mermaid\n(.*?)```", (ROOT / "Database.md").read_text(encoding="utf-8"), re.DOTALL)
    assert diagram
    assert re.search(rf"\b{table}\b", diagram.group(1)), f"{table} is not in the diagram"
    assert metadata.tables[table].comment
    assert [column.name for column in metadata.tables[table].columns if not column.comment] == []
