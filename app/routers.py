"""The routers that the application includes. A new resource is a file in `interfaces_adaptor/http` and a line here."""

from __future__ import annotations

from fastapi import APIRouter

from interfaces_adaptor.http import (
    answer,
    api_docs,
    costs,
    datasets,
    documents,
    embeddings,
    generations,
    ingest,
    jobs,
    retrieval,
    status,
    uploads,
    webhooks,
)

ROUTERS: list[APIRouter] = [
    ingest.router,
    uploads.router,
    documents.router,
    datasets.router,
    generations.router,
    costs.router,
    retrieval.router,
    answer.router,
    embeddings.router,
    jobs.router,
    webhooks.router,
    status.router,
    api_docs.router,
]
