"""Every error in one shape: `{"error": {"code", "message", "details"}}`, and one table from codes to statuses."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from services.errors import BaseUrlNotAllowed, FileTooLarge, InvalidRequest, NotFound, RaptorError

logger = logging.getLogger(__name__)

STATUS: dict[str, int] = {
    "ambiguous_document": 409,
    "already_running": 409,
    "base_url_not_allowed": 422,
    "budget_exceeded": 402,
    "cancelled": 409,
    "concurrent_change": 409,
    "database_unavailable": 503,
    "dataset_id_conflict": 400,
    "dataset_not_found": 404,
    "document_not_found": 404,
    "embedding_not_ready": 400,
    "embedding_service_unavailable": 503,
    "embedding_space_conflict": 409,
    "empty_document": 400,
    "file_too_large": 413,
    "forbidden": 403,
    "internal_error": 500,
    "invalid_encoding": 400,
    "invalid_extra_meta": 400,
    "invalid_grouping": 422,
    "invalid_vector": 502,
    "job_not_found": 404,
    "lease_lost": 409,
    "level_too_large": 422,
    "attempts_exhausted": 500,
    "missing_dataset_id": 400,
    "missing_provider_key": 422,
    "node_not_found": 404,
    "not_found": 404,
    "provider_auth": 502,
    "provider_bad_response": 502,
    "provider_error": 502,
    "provider_quota": 502,
    "tree_not_found": 404,
    "unauthenticated": 401,
    "unknown_model": 422,
    "unsupported_file_type": 400,
    "unsupported_media_type": 415,
    "validation_error": 422,
    "vector_store_error": 503,
    "version_conflict": 409,
}

# What a request that wants to say where calls go calls the address.
ADDRESS = re.compile(r"base[_-]?url|api[_-]?base|endpoint", re.IGNORECASE)
FIELDS_TOLD = 3

# What Starlette and FastAPI raise by themselves.
CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "file_too_large"}
RETRY_AFTER_S = {503: "5"}


def error_response(code: str, message: str, details: dict[str, Any], status: int) -> JSONResponse:
    headers = {"Retry-After": RETRY_AFTER_S[status]} if status in RETRY_AFTER_S else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": {"code": code, "message": message, "details": details}}, status, headers)


def install(app: FastAPI) -> None:
    @app.exception_handler(RaptorError)
    async def typed(_request: Request, error: RaptorError) -> JSONResponse:
        status = STATUS.get(error.code, 500)
        if status >= 500:
            logger.warning("request failed", extra={"error": error.as_json()}, exc_info=error.__cause__)
        return error_response(error.code, error.message, error.details, status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = fields_of(error.errors())
        if any(ADDRESS.search(entry["field"]) for entry in fields):
            refused = BaseUrlNotAllowed(fields=fields)
            return error_response(refused.code, refused.message, refused.details, STATUS[refused.code])
        problems = "; ".join(f"`{entry['field']}`: {entry['problem']}" for entry in fields[:FIELDS_TOLD])
        message = f"The request does not have the form that this endpoint takes. {problems}."
        return error_response(InvalidRequest.code, message, {"fields": fields}, 422)

    @app.exception_handler(HTTPException)
    async def plain(_request: Request, error: HTTPException) -> JSONResponse:
        # A body that cannot be parsed is a 400 to the framework; here it is one of the requests without their form.
        status = 422 if error.status_code == 400 else error.status_code
        code = CODES.get(status, "validation_error" if status < 500 else "internal_error")
        message = {404: NotFound().message, 413: FileTooLarge().message}.get(status, str(error.detail))
        return error_response(code, message, {}, status)

    @app.exception_handler(Exception)
    async def defect(_request: Request, error: Exception) -> JSONResponse:
        logger.error("request met a defect", exc_info=error)
        return error_response(RaptorError.code, RaptorError().message, {}, 500)


PROBLEMS = {
    "extra_forbidden": "There is no such field here, leave it out or correct its name",
    "none_required": "This is not possible yet, leave it out",
}


def fields_of(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Where and what, never the input: the framework's own answer would repeat a key that somebody brought."""
    return [
        {
            "field": (".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0]))[:200],
            "problem": PROBLEMS.get(error["type"], error["msg"]),
        }
        for error in errors
    ]
