"""What work will cost, and what it did cost."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from interfaces_adaptor.http.dependencies import ServicesOf, TenantOf
from interfaces_adaptor.http.fields import checked_dataset_id, checked_doc_id, checked_file_name, checked_text
from interfaces_adaptor.http.ingest import IngestLimits, chunking_of, data_of
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Answer
from interfaces_adaptor.http.schemas.estimate import EstimateBody, EstimateOut
from services.estimate_cost import EstimateRequest
from services.ingest_document import Upload

router = APIRouter(prefix="/v1", tags=["costs"])


@router.post(
    "/datasets/{dataset_id}/estimate",
    response_model=Answer[EstimateOut],
    summary="What an ingest or a rebuild would cost; nothing is spent",
)
async def estimate(
    request: Request, dataset_id: str, services: ServicesOf, tenant: TenantOf, body: EstimateBody | None = None
) -> Any:
    """The dataset need not exist. Chunks are counted, the tree above them is expected; what is known is free."""
    body = body or EstimateBody()
    limits: IngestLimits = request.app.state.ingest_limits
    chunking = chunking_of(limits, body.chunk_size, body.chunk_overlap)
    dataset_id = checked_dataset_id(dataset_id, None, None)
    uploads = [
        Upload(
            dataset_id=dataset_id,
            data=data_of(document.text, limits.max_upload_bytes),
            doc_id=checked_doc_id(document.doc_id),
            source=checked_text("source", document.source, 2_000) if document.source else None,
            file_name=checked_file_name(document.file_name) if document.file_name else None,
            chunking=chunking,
        )
        for document in body.documents
    ]
    asked = EstimateRequest(
        dataset_id=dataset_id,
        uploads=uploads,
        changes=dict(body.tree) | ({"summary_llm": body.summary_llm} if body.summary_llm else {}),
        embedding_model=body.embedding_model,
        build_tree=body.build_tree,
        keys=keys_of(request, body),
    )
    return Answer(data=EstimateOut.of(dataset_id, await services.estimator.estimate(tenant, asked)))
