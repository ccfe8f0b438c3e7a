"""What endpoints take from the request: the services, the tenant that asks, a cursor's page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request

from interfaces_adaptor.repositories import Storage
from services.cost.estimate import CostEstimator
from services.datasets import DatasetEditor
from services.documents import DocumentEditor
from services.domain import TenantId
from services.errors import DatasetIdConflict, InvalidRequest, MissingDatasetId
from services.ingest.upload import DocumentIngestor
from services.ingest.uploads import UploadSessions
from services.jobs.follow import JobFollower
from services.lifecycle import Lifecycle
from services.models.embed_texts import TextEmbedder
from services.models.registry import Models
from services.retrieval.answer import Answerer
from services.retrieval.retrieve import Retriever
from services.storage import OpenStorage
from services.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Services:
    """The flows that a request can start, and the way to what is stored."""

    ingestor: DocumentIngestor
    uploads: UploadSessions
    retriever: Retriever
    answerer: Answerer
    embedder: TextEmbedder
    lifecycle: Lifecycle
    documents: DocumentEditor
    webhooks: Webhooks
    datasets: DatasetEditor
    estimator: CostEstimator
    follower: JobFollower
    models: Models
    open_storage: OpenStorage[Storage]


def services_of(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def tenant_of(request: Request) -> TenantId:
    """Set by `interfaces_adaptor/http/access.py` before any endpoint runs."""
    return cast(TenantId, request.state.tenant)


def dataset_asked_for(
    dataset_id: Annotated[str | None, Query(max_length=200)] = None,
    database_id: Annotated[str | None, Query(max_length=200, description="The same as `dataset_id`.")] = None,
) -> str | None:
    """Raises DatasetIdConflict."""
    if dataset_id and database_id and dataset_id != database_id:
        raise DatasetIdConflict
    return dataset_id or database_id


def dataset_required(dataset_id: Annotated[str | None, Depends(dataset_asked_for)]) -> str:
    """Raises MissingDatasetId."""
    if not dataset_id:
        raise MissingDatasetId
    return dataset_id


ServicesOf = Annotated[Services, Depends(services_of)]
TenantOf = Annotated[TenantId, Depends(tenant_of)]
DatasetOf = Annotated[str, Depends(dataset_required)]
AnyDataset = Annotated[str | None, Depends(dataset_asked_for)]
Limit = Annotated[int, Query(ge=1, le=500, description="Items per page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the previous page.")]


def position_of(cursor: str | None, *parts: Callable[[Any], Any]) -> Any:
    """The sort key that a page ended with, each part read by its own parser; None for the first page. Raises
    InvalidRequest for a cursor that this service did not give."""
    if cursor is None:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"==").decode())
        if not isinstance(position, list) or len(position) != len(parts):
            raise ValueError("another list's cursor")
        return tuple(readable(part(value)) for part, value in zip(parts, position, strict=True))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidRequest("Invalid cursor: pass `next_cursor` of the page before, unchanged.") from error


def readable(value: Any) -> Any:
    """Raises ValueError for what the database could not compare with."""
    if (isinstance(value, int) and abs(value) >= 2**31) or (isinstance(value, str) and "\0" in value):
        raise ValueError("a position that no list has")
    return value


def cursor_after(position: list[Any] | None) -> str | None:
    if position is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(position, default=text_of).encode()).decode().rstrip("=")


def text_of(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
