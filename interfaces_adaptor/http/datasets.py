"""Datasets and their trees."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from interfaces_adaptor.http.dependencies import Cursor, Limit, ServicesOf, TenantOf, cursor_after, position_of
from interfaces_adaptor.http.fields import checked_dataset_id, checked_text
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.retrieval import checked_string
from interfaces_adaptor.http.schemas.documents import DatasetFields, DatasetOut, PatchDatasetBody, PutDatasetBody
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.jobs import JobStarted, RebuildBody, RebuildStarted, RetryNodesBody
from interfaces_adaptor.http.schemas.trees import LiveTreeOut, NodeDetailOut, NodeOut, TreeLevelOut, TreePage
from services.datasets import DatasetField
from services.errors import InvalidRequest

router = APIRouter(prefix="/v1", tags=["datasets and trees"])


@router.get("/datasets", response_model=Envelope[Page[DatasetOut]])
async def list_datasets(services: ServicesOf, tenant: TenantOf, limit: Limit = 100, cursor: Cursor = None) -> Any:
    after = position_of(cursor, str)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.list_datasets(after, limit)
    last = [found[-1].dataset_id] if len(found) == limit else None
    return Envelope(data=Page(items=[DatasetOut.of(entry) for entry in found], next_cursor=cursor_after(last)))


@router.get("/datasets/{dataset_id}", response_model=Envelope[DatasetOut])
async def read_dataset(dataset_id: str, services: ServicesOf, tenant: TenantOf) -> Any:
    async with services.open_storage(tenant, snapshot=True) as work:
        return Envelope(data=DatasetOut.of(await work.describe_dataset(dataset_id)))


@router.put(
    "/datasets/{dataset_id}",
    response_model=Envelope[DatasetOut],
    responses={201: {"model": Envelope[DatasetOut]}},
    summary="Make a dataset, or bring it to what the body says",
)
async def put_dataset(
    request: Request,
    response: Response,
    dataset_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    body: PutDatasetBody | None = None,
) -> Any:
    """201 where it was made. Keys in `X-BYOK-*` headers choose the embedder where `embed_model` does not, and are
    not kept."""
    body = body or PutDatasetBody()
    dataset_id, fields = checked_dataset_id(dataset_id, None, None), fields_from(body)
    whole = {"name": None, "description": None} | {k: v for k, v in fields.items() if v is not None}
    made = await services.datasets.put(tenant, dataset_id, whole, body.embed_model, keys_of(request))
    response.status_code = 201 if made else 200
    async with services.open_storage(tenant, snapshot=True) as work:
        return Envelope(code=response.status_code, data=DatasetOut.of(await work.describe_dataset(dataset_id)))


@router.patch("/datasets/{dataset_id}", response_model=Envelope[DatasetOut], summary="Rename, describe, set")
async def patch_dataset(dataset_id: str, services: ServicesOf, tenant: TenantOf, body: PatchDatasetBody) -> Any:
    """Settings hold from the next upload and build on; what is live stays as it is until then."""
    fields = {name: value for name, value in fields_from(body).items() if name in body.model_fields_set}
    if "vector_index" in fields and fields["vector_index"] is None:
        raise InvalidRequest("A dataset has a vector index: name one.", field="vector_index")
    await services.datasets.change(tenant, dataset_id, fields)
    async with services.open_storage(tenant, snapshot=True) as work:
        return Envelope(data=DatasetOut.of(await work.describe_dataset(dataset_id)))


def fields_from(body: DatasetFields) -> dict[DatasetField, Any]:
    """Raises InvalidRequest."""
    return {
        "name": checked_text("name", body.name, 200) if body.name else None,
        "description": checked_string("description", body.description) if body.description else None,
        "vector_index": body.vector_index,
        "settings": body.settings,
    }


@router.delete(
    "/datasets/{dataset_id}", response_model=Envelope[JobStarted], summary="Delete a dataset and everything in it"
)
async def delete_dataset(dataset_id: str, services: ServicesOf, tenant: TenantOf) -> Any:
    await services.lifecycle.delete_dataset(tenant, dataset_id)
    return Envelope(data=JobStarted(job_id=None, dataset_id=dataset_id))


@router.post(
    "/datasets/{dataset_id}/rebuild",
    status_code=202,
    response_model=Envelope[RebuildStarted],
    summary="Rebuild the tree",
)
async def rebuild(
    request: Request, dataset_id: str, services: ServicesOf, tenant: TenantOf, body: RebuildBody | None = None
) -> Any:
    """Starts at once. If neither documents nor parameters have changed, the tree stays and no model is called, unless
    `full` asks for a clustering of the whole."""
    body = body or RebuildBody()
    changes = dict(body.tree) | ({"summary_llm": body.summary_llm} if body.summary_llm else {})
    budget = body.budget
    begun = await services.lifecycle.rebuild(
        tenant, dataset_id, changes, keys_of(request, body), budget, full=body.full
    )
    return Envelope(
        code=202, data=RebuildStarted(job_id=begun.job_id, dataset_id=dataset_id, warnings=list(begun.warnings))
    )


@router.post(
    "/datasets/{dataset_id}/retry-nodes",
    status_code=202,
    response_model=Envelope[JobStarted],
    summary="Rewrite summaries that were written without their model",
)
async def retry_nodes(
    request: Request, dataset_id: str, services: ServicesOf, tenant: TenantOf, body: RetryNodesBody | None = None
) -> Any:
    """A summary that its model could not write consists of sentences from its sources, marked in `meta.reason`. The job
    has the tree's model write these summaries, and rewrite those above them. The tree keeps its shape, and all changes
    become visible at once. The job's `result` counts the `mended` summaries and those still `degraded`."""
    body = body or RetryNodesBody()
    budget = body.budget
    job_id = await services.lifecycle.retry_nodes(tenant, dataset_id, keys_of(request, body), budget)
    return Envelope(code=202, data=JobStarted(job_id=job_id, dataset_id=dataset_id))


@router.get("/datasets/{dataset_id}/tree", response_model=Envelope[TreePage], summary="The live tree, level by level")
async def read_tree(
    dataset_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    level: Annotated[int | None, Query(ge=0, le=64, description="Only this level; 0 is the leaves.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    after = position_of(cursor, int, int)
    async with services.open_storage(tenant, snapshot=True) as work:
        tree = await work.served_tree(dataset_id)
        sizes = await work.level_sizes(tree.tree_id)
        found = await work.list_nodes(tree.tree_id, after, limit, level=level)
    stats = tree.stats.get("levels", {})
    last = [found[-1].level, found[-1].position] if len(found) == limit else None
    return Envelope(
        data=TreePage(
            **LiveTreeOut.of(tree).model_dump(),
            dataset_id=dataset_id,
            levels=[TreeLevelOut(level=at, nodes=nodes, stats=stats.get(str(at), {})) for at, nodes in sizes.items()],
            items=[NodeOut.of(node) for node in found],
            next_cursor=cursor_after(last),
        )
    )


@router.get("/nodes/{node_id}", response_model=Envelope[NodeDetailOut])
async def read_node(node_id: UUID, services: ServicesOf, tenant: TenantOf) -> Any:
    """A node of a live tree with its parents, its children and the passages it was written from."""
    async with services.open_storage(tenant, snapshot=True) as work:
        return Envelope(data=NodeDetailOut.of(await work.describe_node(node_id)))
