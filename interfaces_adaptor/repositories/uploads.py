"""Uploads of many documents that are not committed yet."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import upload_documents, uploads
from infra.uow.unit_of_work import UnitOfWork, short_transaction
from interfaces_adaptor.repositories.documents import identity_hash
from services.errors import UploadNotFound
from services.ingest.upload import Upload
from services.ingest.uploads import OpenUpload, UploadOptions

# What of a document is stored beside its bytes and its file name; all else is the upload's.
FIELDS = ("doc_id", "source", "tags", "extra_meta")


class Uploads(UnitOfWork):
    async def begin_upload(self, dataset_id: str, options: UploadOptions, lasts: timedelta) -> OpenUpload:
        row = await self.first(
            insert(uploads)
            .values(
                tenant_id=self.tenant,
                upload_id=uuid.uuid4(),
                dataset_id=dataset_id,
                options=options.as_json(),
                expires_at=func.now() + lasts,
            )
            .returning(*uploads.c)
        )
        assert row is not None
        return upload_from(row, documents=0)

    async def get_upload(self, upload_id: UUID, *, lock: bool = False) -> OpenUpload:
        found = select(uploads).where(
            self.own(uploads), uploads.c.upload_id == upload_id, uploads.c.expires_at > func.now()
        )
        row = await self.first(found.with_for_update() if lock else found)
        if row is None:
            raise UploadNotFound(upload_id=upload_id.hex)
        count = await self.first(
            select(func.count().label("n")).where(self.own(upload_documents), upload_documents.c.upload_id == upload_id)
        )
        assert count is not None
        return upload_from(row, documents=count["n"])

    async def stage_document(self, upload_id: UUID, upload: Upload) -> bool:
        of = upload_documents.c
        last = select(func.coalesce(func.max(of.position), -1)).where(
            self.own(upload_documents), of.upload_id == upload_id
        )
        identity = upload.identity or f"new:{uuid.uuid4().hex}"
        added = await self.first(
            postgresql.insert(upload_documents)
            .values(
                tenant_id=self.tenant,
                upload_id=upload_id,
                position=1 + last.scalar_subquery(),
                identity_hash=identity_hash(identity),
                file_name=upload.file_name or "",
                fields=fields_of(upload),
                data=upload.data,
            )
            .on_conflict_do_nothing(index_elements=["tenant_id", "upload_id", "identity_hash"])
            .returning(of.position)
        )
        return added is not None

    async def staged_documents(self, upload_id: UUID, part: int) -> AsyncIterator[list[Upload]]:
        begun = await self.get_upload(upload_id)
        of = upload_documents.c
        after = -1
        while rows := await self.all(
            select(of.position, of.file_name, of.fields, of.data)
            .where(self.own(upload_documents), of.upload_id == upload_id, of.position > after)
            .order_by(of.position)
            .limit(part)
        ):
            yield [staged_from(begun.dataset_id, row) for row in rows]
            after = rows[-1]["position"]

    async def close_upload(self, upload_id: UUID, job_id: UUID | None) -> None:
        await self.execute(
            update(uploads)
            .where(self.own(uploads), uploads.c.upload_id == upload_id)
            .values(committed_at=func.now(), job_id=job_id)
        )
        await self.execute(
            delete(upload_documents).where(self.own(upload_documents), upload_documents.c.upload_id == upload_id)
        )

    async def discard_upload(self, upload_id: UUID) -> None:
        await self.execute(delete(uploads).where(self.own(uploads), uploads.c.upload_id == upload_id))


def upload_from(row: RowMapping, documents: int) -> OpenUpload:
    return OpenUpload(
        upload_id=row["upload_id"],
        dataset_id=row["dataset_id"],
        options=UploadOptions.of(row["options"]),
        documents=documents,
        job_id=row["job_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        committed_at=row["committed_at"],
    )


def fields_of(upload: Upload) -> dict[str, Any]:
    return {name: getattr(upload, name) for name in FIELDS}


def staged_from(dataset_id: str, row: RowMapping) -> Upload:
    return Upload(dataset_id, row["data"], file_name=row["file_name"] or None, **row["fields"])


async def remove_expired_uploads(engine: AsyncEngine) -> int:
    """Of all tenants; how many that were."""
    async with short_transaction(engine) as connection:
        return (await connection.execute(delete(uploads).where(uploads.c.expires_at < func.now()))).rowcount
