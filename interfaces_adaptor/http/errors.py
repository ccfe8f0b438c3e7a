"""Every error in one shape, `{"error": {"code", "message", "details"}}`, with the status of its class."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from interfaces_adaptor.http.streaming import HungUp
from services.errors import BaseUrlNotAllowed, FileTooLarge, InvalidRequest, NotFound, RaptorError

logger = logging.getLogger(__name__)

# Fields by which a request tries to say where models are called.
ADDRESS = re.compile(r"base[_-]?url|api[_-]?base|endpoint", re.IGNORECASE)
FIELDS_TOLD = 3

# What Starlette and FastAPI raise by themselves.
CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "file_too_large"}
# nginx's status for a client that hung up: nobody reads it, but the log shows it.
CLIENT_CLOSED_REQUEST = 499
RETRY_AFTER_S = {503: "5"}


def response_to(error: RaptorError) -> JSONResponse:
    return error_response(error.code, error.message, error.details, error.status)


def error_response(code: str, message: str, details: dict[str, Any], status: int) -> JSONResponse:
    headers = {"Retry-After": RETRY_AFTER_S[status]} if status in RETRY_AFTER_S else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": {"code": code, "message": message, "details": details}}, status, headers)


def install(app: FastAPI) -> None:
    @app.exception_handler(RaptorError)
    async def typed(_request: Request, error: RaptorError) -> JSONResponse:
        if error.status >= 500:
            logger.warning("request failed", extra={"error": error.as_json()}, exc_info=error.__cause__)
        return response_to(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = fields_of(error.errors())
        if any(ADDRESS.search(entry["field"]) for entry in fields):
            return response_to(BaseUrlNotAllowed(fields=fields))
        problems = "; ".join(f"`{entry['field']}`: {entry['problem']}" for entry in fields[:FIELDS_TOLD])
        return response_to(InvalidRequest(f"The request is not valid. {problems}.", fields=fields))

    @app.exception_handler(HTTPException)
    async def plain(_request: Request, error: HTTPException) -> JSONResponse:
        # A body that cannot be parsed: the framework answers 400, this API 422 like any other invalid request.
        status = 422 if error.status_code == 400 else error.status_code
        code = CODES.get(status, "validation_error" if status < 500 else "internal_error")
        message = {404: NotFound().message, 413: FileTooLarge().message}.get(status, str(error.detail))
        return error_response(code, message, {}, status)

    @app.exception_handler(HungUp)
    async def hung_up(_request: Request, _error: HungUp) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @app.exception_handler(Exception)
    async def defect(_request: Request, error: Exception) -> JSONResponse:
        logger.error("request met a defect", exc_info=error)
        return response_to(RaptorError())


PROBLEMS = {
    "extra_forbidden": "Unknown field: leave it out, or correct its name",
    "none_required": "Not supported yet: leave it out",
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
