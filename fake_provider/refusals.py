"""How providers say no: the status, and a body in the shape of the provider that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

Dialect = Literal["azure", "cohere", "dashscope", "deepseek", "gemini", "jina", "openai", "perplexity", "tei", "voyage"]

# OpenAI's `type`, `code` and a message, by status. What is not here is a server_error.
_STANDARD: Mapping[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request could not be understood."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_balance", "insufficient_balance", "Insufficient Balance"),
    403: ("permission_denied", "permission_denied", "This key has no access to the model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or this key has no access to it."),
    408: ("timeout", "timeout", "The request took too long to arrive."),
    409: ("conflict", "conflict", "Another request is in the way; try again."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    422: ("invalid_request_error", None, "The request could not be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached; slow down."),
    503: ("server_error", "overloaded", "The model is overloaded; try again later."),
    529: ("overloaded_error", "overloaded", "The service is overloaded; try again later."),
}
_GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refusal(Exception):
    """The provider does not do what was asked. `param` and `code` reach the client where the dialect has a place."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        unnamed = "The server had an error." if status >= 500 else _phrase(status)
        self.type, standard_code, standard_message = _STANDARD.get(status, ("server_error", None, unnamed))
        self.status = status
        self.message = message or standard_message
        self.code = code or standard_code
        self.param = param
        self.headers = dict(headers or {})
        super().__init__(self.message)


def insufficient_quota() -> Refusal:
    """A 429 that no waiting mends."""
    message = "You exceeded your current quota (insufficient_quota); check your plan and billing details."
    refusal = Refusal(429, message, code="insufficient_quota")
    refusal.type = "insufficient_quota"
    return refusal


def refusal_body(dialect: Dialect, refusal: Refusal) -> Any:
    """What is sent as JSON. `insufficient_quota` has OpenAI's shape from all that the openai SDK talks to."""
    if dialect in ("voyage", "jina"):
        return {"detail": refusal.message}
    if dialect == "tei":
        return {"error": refusal.message, "error_type": _tei_type(refusal.status)}
    openai = {"message": refusal.message, "type": refusal.type, "param": refusal.param, "code": refusal.code}
    if refusal.code == "insufficient_quota":
        return {"error": openai}
    if dialect == "cohere":
        return {"message": refusal.message}
    if dialect == "gemini":
        # A list with one error in it: the openai SDK finds neither `code` nor `message` there.
        status = _GOOGLE_STATUS.get(refusal.status, "INTERNAL")
        return [{"error": {"code": refusal.status, "message": refusal.message, "status": status}}]
    if dialect == "azure" and refusal.param is None:
        return {"error": {"code": refusal.code or str(refusal.status), "message": refusal.message}}
    return {"error": openai}


def _tei_type(status: int) -> str:
    if status == 429:
        return "overloaded"
    return "validation" if status < 500 else "backend"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
