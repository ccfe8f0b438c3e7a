"""Uploads: the one that waits for its tree, and the same without waiting."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Header, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as FormFile

from interfaces_adaptor.http.dependencies import Services, ServicesOf, TenantOf
from interfaces_adaptor.http.fields import (
    checked_dataset_id,
    checked_doc_id,
    checked_file_name,
    checked_meta,
    checked_tags,
    checked_text,
    parsed_meta,
)
from interfaces_adaptor.http.keys import keys_of, no_empty_keys
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.schemas.ingest import DocumentAccepted, Ingested, IngestForm, NewDocumentBody
from services.cost.budget import Keys
from services.domain import ChunkingParams, TenantId
from services.errors import FileTooLarge, InvalidRequest, RaptorError, UnsupportedMediaType, status_of
from services.ingest.upload import Upload
from services.jobs.job import TERMINAL, Job

router = APIRouter(tags=["documents"])

Model = TypeVar("Model", bound=BaseModel)

PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})")


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """From the settings: bytes of one file, seconds that a call without `Prefer` waits, how texts are cut."""

    max_upload_bytes: int
    wait_s: float
    chunking: ChunkingParams


class JobFailed(RaptorError):
    """The job that the request waited for has failed; its error is the answer."""

    def __init__(self, job: Job) -> None:
        error = dict(job.error or {})
        super().__init__(error.get("message"), **(error.get("details") or {}), job_id=job.job_id.hex)
        self.code = error.get("code", RaptorError.code)  # type: ignore[misc]
        self.status = status_of(self.code)  # type: ignore[misc]


def only_multipart(request: Request) -> None:
    if media_type_of(request) != "multipart/form-data":
        raise UnsupportedMediaType


@router.post(
    "/v1/document/ingest-markdown",
    response_model=Envelope[Ingested],
    dependencies=[Depends(only_multipart), Depends(no_empty_keys)],
    responses={202: {"model": Envelope[Ingested]}},
    summary="Upload Markdown and wait until it is in a live tree",
)
async def ingest_markdown(
    request: Request,
    response: Response,
    services: ServicesOf,
    tenant: TenantOf,
    form: Annotated[IngestForm, Form(media_type="multipart/form-data")],
    x_dataset_id: Annotated[str | None, Header()] = None,
    prefer: Annotated[str | None, Header(description="`respond-async`, or `wait=N` (RFC 7240).")] = None,
) -> Any:
    limits: IngestLimits = request.app.state.ingest_limits
    upload = await upload_from_form(form, x_dataset_id, limits, keys_of(request, form))
    accepted = await services.ingestor.ingest(tenant, upload)
    job = None
    if accepted.job_id is not None:
        job = await finished(services, tenant, accepted.job_id, wait_of(prefer, limits.wait_s))
        if job is None:
            response.status_code = 202
            response.headers["Location"] = f"/v1/jobs/{accepted.job_id.hex}"
            if prefer:
                response.headers["Preference-Applied"] = prefer
    return Envelope(code=response.status_code or 200, data=Ingested.of(accepted, job))


@router.post(
    "/v1/documents",
    status_code=202,
    response_model=Envelope[DocumentAccepted],
    responses={200: {"model": Envelope[DocumentAccepted]}},
    summary="Add a document, as multipart or JSON",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": NewDocumentBody.model_json_schema()},
                "multipart/form-data": {"schema": IngestForm.model_json_schema()},
            },
        }
    },
)
async def add_document(
    request: Request,
    response: Response,
    services: ServicesOf,
    tenant: TenantOf,
    prefer: Annotated[str | None, Header(description="`wait=N`: at most N seconds for the job (RFC 7240).")] = None,
) -> Any:
    """Without waiting: `Location` names the job to follow. With `Prefer: wait=N`, 200 once the document is in a live
    tree, or there was nothing to do."""
    limits: IngestLimits = request.app.state.ingest_limits
    header = request.headers.get("x-dataset-id")
    kind = media_type_of(request)
    if kind == "multipart/form-data":
        async with request.form() as fields:
            form = model_from_form(IngestForm, fields)
            upload = await upload_from_form(form, header, limits, keys_of(request, form))
    elif kind == "application/json":
        body = await model_from_json(NewDocumentBody, request)
        upload = upload_from_json(body, header, limits, keys_of(request, body))
    else:
        raise UnsupportedMediaType("Send multipart/form-data with the field `file`, or application/json with `text`.")
    accepted = await services.ingestor.ingest(tenant, upload)
    wait_s = wait_of(prefer or "respond-async", limits.wait_s)
    job = None
    if accepted.job_id is not None:
        response.headers["Location"] = f"/v1/jobs/{accepted.job_id.hex}"
        job = await finished(services, tenant, accepted.job_id, wait_s)
    if wait_s and (job is not None or accepted.job_id is None):
        response.status_code = 200
    if prefer:
        response.headers["Preference-Applied"] = prefer
    return Envelope(code=response.status_code or 202, data=DocumentAccepted.of(accepted, job))


async def upload_from_form(form: IngestForm, header: str | None, limits: IngestLimits, keys: Keys) -> Upload:
    return Upload(
        dataset_id=checked_dataset_id(form.dataset_id, form.database_id, header),
        file_name=checked_file_name(form.file.filename),
        data=await bounded(form.file, limits.max_upload_bytes),
        doc_id=checked_doc_id(form.doc_id),
        source=checked_text("source", form.source, 2_000) if form.source else None,
        tags=checked_tags(form.tags),
        extra_meta=parsed_meta(form.extra_meta),
        build_tree=form.build_tree,
        summary_llm=form.summary_llm or None,
        vector_index=form.vector_index,
        upsert_mode=form.upsert_mode,
        chunking=chunking_of(limits, form.chunk_size, form.chunk_overlap),
        refine=form.refine,
        embed_model=form.embed_model or None,
        tree=form.tree_changes,
        keys=keys,
        budget=form.budget,
    )


def upload_from_json(body: NewDocumentBody, header: str | None, limits: IngestLimits, keys: Keys) -> Upload:
    return Upload(
        dataset_id=checked_dataset_id(body.dataset_id, body.database_id, header),
        data=data_of(body.text, limits.max_upload_bytes),
        doc_id=checked_doc_id(body.doc_id),
        source=checked_text("source", body.source, 2_000) if body.source else None,
        tags=checked_tags(body.tags),
        extra_meta=checked_meta(body.metadata),
        build_tree=body.build_tree,
        summary_llm=body.summary_llm,
        vector_index=body.vector_index,
        upsert_mode=body.upsert_mode,
        chunking=chunking_of(limits, body.chunk_size, body.chunk_overlap),
        refine=body.refine,
        embed_model=body.embed_model or None,
        tree=body.tree_changes,
        keys=keys,
        budget=body.budget,
    )


def data_of(text: str, limit: int) -> bytes:
    """A document's text out of JSON as the bytes of a file. Raises InvalidRequest, FileTooLarge."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("`text` contains half of a surrogate pair.", field="text") from None
    if len(data) > limit:
        raise FileTooLarge(limit=limit)
    return data


def model_from_form(model: type[Model], fields: FormData) -> Model:
    """The form of a request whose content type decides how it is read."""
    values: dict[str, Any] = {name: value for name, value in fields.multi_items() if name != "tags"}
    try:
        return model.model_validate(values | {"tags": fields.getlist("tags")})
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from None


async def model_from_json(model: type[Model], request: Request) -> Model:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from None


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def bounded(file: UploadFile | FormFile, limit: int) -> bytes:
    """The file's bytes; no more than the limit is read into memory. Raises FileTooLarge."""
    data = await file.read(limit + 1)
    if len(data) > limit:
        raise FileTooLarge(limit=limit)
    return data


def chunking_of(limits: IngestLimits, size: int | None, overlap: int | None) -> ChunkingParams:
    """Raises InvalidRequest."""
    default = limits.chunking
    size = default.size if size is None else size
    overlap = min(default.overlap, size // 4) if overlap is None else overlap
    if overlap >= size:
        raise InvalidRequest("`chunk_overlap` must be smaller than `chunk_size`.", field="chunk_overlap")
    return ChunkingParams(default.chunker, size, overlap, default.refine)


def wait_of(prefer: str | None, longest_s: float) -> float:
    """Seconds to wait for the job: as `Prefer` says, within the service's limit."""
    if prefer is None:
        return longest_s
    if "respond-async" in prefer.lower():
        return 0.0
    wanted = PREFER_WAIT.search(prefer.lower())
    return min(float(wanted.group(1)), longest_s) if wanted else longest_s


async def finished(services: Services, tenant: TenantId, job_id: UUID, wait_s: float) -> Job | None:
    """The job once it has succeeded; None if the time is over first. Raises JobFailed. The job continues either way:
    a client that hangs up loses nothing."""
    if not wait_s:
        return None
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s), aclosing(services.follower.follow(tenant, job_id)) as states:
            async for job in states:
                if job.status == "succeeded":
                    return job
                if job.status in TERMINAL:
                    raise JobFailed(job)
    return None
