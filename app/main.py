"""The HTTP application."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from app.container import Container
from app.routers import ROUTERS
from interfaces_adaptor.http import errors
from interfaces_adaptor.http.access import AccessMiddleware
from interfaces_adaptor.http.lingering import LingeringClose
from interfaces_adaptor.http.parameters import only_known_parameters
from interfaces_adaptor.http.schemas.envelope import ErrorEnvelope
from interfaces_adaptor.http.uploaded import IngestLimits

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# An upload's other fields.
FORM_SLACK_BYTES = 1024 * 1024

DESCRIPTION = """
Markdown in, a RAPTOR tree out: chunks at the leaves, summaries of summaries up to one root, and retrieval over all
levels that cites the exact passage.

A successful answer is `{"code", "data"}`, an error is `{"error": {"code", "message", "details"}}`. Every response has
an `X-Request-Id` header.
"""


def create_app(container: Container) -> ASGIApp:
    """The application over a container that stays open as long as it is served."""
    settings = container.settings
    max_body_bytes = settings.http.max_upload_bytes + FORM_SLACK_BYTES
    app = FastAPI(
        title="raptor-service",
        version=container.health.version,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        max_body_size=max_body_bytes,
        responses={status: {"model": ErrorEnvelope} for status in (400, 401, 404, 409, 413, 422, 503)},
        generate_unique_id_function=operation_id,
    )
    app.state.services = container.services
    app.state.health = container.health
    app.state.ingest_limits = IngestLimits(
        max_upload_bytes=settings.http.max_upload_bytes,
        wait_s=settings.http.ingest_wait_seconds,
        chunking=settings.chunk.params,
    )
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(only_known_parameters)])
    return LingeringClose(
        AccessMiddleware(
            app,
            container.access,
            max_body_bytes=max_body_bytes,
            loopback=settings.http.host in LOOPBACK,
            allowed_hosts=settings.http.allowed_hosts,
        )
    )


def operation_id(route: APIRoute) -> str:
    return route.name
