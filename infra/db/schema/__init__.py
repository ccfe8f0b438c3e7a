"""The schema, told once: every table, column, key and index, with its meaning.

Migrations bring a database to it (a test compares the two), `Database.md` is rendered from it (`make schema`), and
simple statements are written over these tables. Keys lead with `tenant_id`: a foreign key can then never cross tenants,
and the schema can be spread by tenant.
"""

from __future__ import annotations

from infra.db.schema.columns import Vector, metadata
from infra.db.schema.documents import (
    api_keys,
    chunks,
    datasets,
    document_versions,
    documents,
    embeddings,
    link_keys,
    posting_totals,
    postings,
    tenants,
)
from infra.db.schema.trees import generations, tree_edges, tree_node_chunks, tree_nodes, trees
from infra.db.schema.webhooks import webhook_deliveries, webhooks
from infra.db.schema.work import (
    job_secrets,
    jobs,
    model_call_sources,
    model_calls,
    provider_calls,
    provider_limits,
    upload_documents,
    uploads,
    usage_ledger,
)

__all__ = [
    "Vector",
    "api_keys",
    "chunks",
    "datasets",
    "document_versions",
    "documents",
    "embeddings",
    "generations",
    "job_secrets",
    "jobs",
    "link_keys",
    "metadata",
    "model_call_sources",
    "model_calls",
    "posting_totals",
    "postings",
    "provider_calls",
    "provider_limits",
    "tenants",
    "tree_edges",
    "tree_node_chunks",
    "tree_nodes",
    "trees",
    "upload_documents",
    "uploads",
    "usage_ledger",
    "webhook_deliveries",
    "webhooks",
]
