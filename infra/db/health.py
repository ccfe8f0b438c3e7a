"""Health checks of the database, its schema and the workers that use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.db.migrate import Migrations, current_revision
from services.health import Check, ComponentHealth, remembered

# Counting takes seconds in a database of millions of passages, and its answer changes slowly.
COUNTED_EVERY_S = 60.0
COUNTING_MS = 5_000


def needed_checks(engine: AsyncEngine, migrations: Migrations) -> Mapping[str, Check]:
    """By the name of the component."""
    return {
        "database": partial(checked, engine, versions),
        "schema": partial(checked, engine, partial(schema, migrations)),
    }


def database_checks(engine: AsyncEngine) -> Mapping[str, Check]:
    """Of what requests can be answered without."""
    return {
        "workers": partial(checked, engine, workers),
        "index": partial(checked, engine, indexes),
        "coverage": remembered(partial(checked, engine, coverage), COUNTED_EVERY_S),
    }


async def checked(
    engine: AsyncEngine, check: Callable[[AsyncConnection], Awaitable[tuple[bool, str]]]
) -> ComponentHealth:
    try:
        async with engine.connect() as connection:
            ok, detail = await check(connection)
    except (SQLAlchemyError, OSError) as error:
        ok, detail = False, f"the database does not answer ({type(error).__name__})"
    return ComponentHealth(ok, detail)


async def versions(connection: AsyncConnection) -> tuple[bool, str]:
    server = await connection.scalar(text("show server_version"))
    vector = await connection.scalar(text("select extversion from pg_extension where extname = 'vector'"))
    return True, f"Postgres {server}, pgvector {vector}"


async def schema(migrations: Migrations, connection: AsyncConnection) -> tuple[bool, str]:
    current, head = await current_revision(connection), migrations.head
    if current != head:
        return False, f"at {current}, this version needs {head}: run `raptor migrate`"
    return True, f"at {current}"


async def workers(connection: AsyncConnection) -> tuple[bool, str]:
    alive = await connection.scalar(
        text("select count(*) from procrastinate_workers where last_heartbeat > now() - interval '1 minute'")
    )
    return bool(alive), f"{alive} alive" if alive else "none alive: start `raptor worker`"


async def indexes(connection: AsyncConnection) -> tuple[bool, str]:
    """An index that is built at the moment is not valid yet; one whose building died never will be."""
    row = (
        await connection.execute(
            text(
                """
                select count(*) as there, count(*) filter (where not i.indisvalid and p.pid is null) as broken
                from pg_index i join pg_class c on c.oid = i.indexrelid
                left join pg_stat_progress_create_index p on p.index_relid = i.indexrelid
                where i.indrelid = 'embeddings'::regclass and c.relname like 'hnsw\\_%'
                """
            )
        )
    ).one()
    told = f"{row.there} vector indexes; the other datasets are searched exactly"
    return not row.broken, f"{told}; {row.broken} are broken" if row.broken else told


async def coverage(connection: AsyncConnection) -> tuple[bool, str]:
    """What is served without a vector cannot be found by likeness; a document without passages is on its way, or its
    job says why not."""
    await connection.execute(text(f"set local statement_timeout = {COUNTING_MS}"))
    try:
        row = (await connection.execute(text(COVERAGE))).one()
    except SQLAlchemyError:
        return True, f"not counted: it took longer than {COUNTING_MS // 1000} s"
    return row.passages == row.vectors, (
        f"{row.covered} of {row.documents} documents have passages,"
        f" {row.vectors} of {row.passages} passages have vectors"
    )


COVERAGE = """
    select count(*) as documents, count(*) filter (where v.chunk_count > 0) as covered,
        coalesce(sum(v.chunk_count), 0)::bigint as passages, coalesce(sum(e.vectors), 0)::bigint as vectors
    from documents d
    join datasets s on s.tenant_id = d.tenant_id and s.dataset_id = d.dataset_id
    left join document_versions v on v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id
        and v.doc_id = d.doc_id and v.state = 'ready'
    left join lateral (
        select count(*) as vectors from embeddings e
        where e.tenant_id = v.tenant_id and e.generation_id = v.version_id and e.owner_type = 'chunk'
            and e.model = s.embed_provider || '/' || s.embed_model
    ) e on true
    where d.deleted_at is null
"""
