"""What a request uploads: documents, as files or in JSON, and how they are to be processed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as FormFile

from interfaces_adaptor.http.fields import (
    checked_dataset_id,
    checked_doc_id,
    checked_file_name,
    checked_meta,
    checked_tags,
    checked_text,
    parsed_meta,
)
from interfaces_adaptor.http.schemas.ingest import (
    DocumentFields,
    FileFields,
    IngestForm,
    NewDocumentBody,
    ProcessingFields,
    TextFields,
)
from services.cost.budget import Keys
from services.domain import ChunkingParams
from services.errors import FileTooLarge, InvalidRequest
from services.ingest.upload import Upload
from services.ingest.uploads import UploadOptions, with_options

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """From the settings: bytes of one file, seconds that a call without `Prefer` waits, how texts are cut."""

    max_upload_bytes: int
    wait_s: float
    chunking: ChunkingParams


async def upload_from_form(form: IngestForm, header: str | None, limits: IngestLimits, keys: Keys) -> Upload:
    dataset_id = checked_dataset_id(form.dataset_id, form.database_id, header)
    upload = with_options(await upload_from_file(form, limits), options_of(form, limits))
    return replace(upload, dataset_id=dataset_id, keys=keys, budget=form.budget)


def upload_from_json(body: NewDocumentBody, header: str | None, limits: IngestLimits, keys: Keys) -> Upload:
    dataset_id = checked_dataset_id(body.dataset_id, body.database_id, header)
    upload = with_options(upload_from_text(body, limits), options_of(body, limits))
    return replace(upload, dataset_id=dataset_id, keys=keys, budget=body.budget)


async def upload_from_file(form: FileFields, limits: IngestLimits) -> Upload:
    """A document, of no dataset yet."""
    upload = Upload(
        dataset_id="",
        file_name=checked_file_name(form.file.filename),
        data=await bounded(form.file, limits.max_upload_bytes),
    )
    return described(upload, form, parsed_meta(form.extra_meta))


def upload_from_text(body: TextFields, limits: IngestLimits) -> Upload:
    """A document, of no dataset yet."""
    upload = Upload(
        dataset_id="",
        file_name=checked_file_name(body.file_name) if body.file_name else None,
        data=data_of(body.text, limits.max_upload_bytes),
    )
    return described(upload, body, checked_meta(body.metadata))


def described(upload: Upload, said: DocumentFields, meta: dict[str, Any] | None) -> Upload:
    return replace(
        upload,
        doc_id=checked_doc_id(said.doc_id),
        source=checked_text("source", said.source, 2_000) if said.source else None,
        tags=checked_tags(said.tags),
        extra_meta=meta,
    )


def options_of(said: ProcessingFields, limits: IngestLimits) -> UploadOptions:
    """Raises InvalidRequest."""
    return UploadOptions(
        build_tree=said.build_tree,
        summary_llm=said.summary_llm or None,
        vector_index=said.vector_index,
        upsert_mode=said.upsert_mode,
        chunking=chunking_of(limits, said.chunk_size, said.chunk_overlap),
        refine=said.refine,
        embed_model=said.embed_model or None,
        tree=said.tree_changes,
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
    values: dict[str, Any] = dict(fields.multi_items())
    try:
        return model.model_validate(values | ({"tags": fields.getlist("tags")} if "tags" in fields else {}))
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
