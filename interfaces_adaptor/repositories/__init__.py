"""What is stored, spoken of in the words of the product."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from infra.uow.sql import Repositories
from interfaces_adaptor.repositories.catalog import SqlCatalog
from interfaces_adaptor.repositories.datasets import SqlDatasets
from interfaces_adaptor.repositories.documents import SqlDocuments
from interfaces_adaptor.repositories.jobs import SqlJobs
from interfaces_adaptor.repositories.ledger import SqlLedger
from interfaces_adaptor.repositories.postings import SqlPostings
from interfaces_adaptor.repositories.search import SqlSearch
from interfaces_adaptor.repositories.trees import SqlTrees
from interfaces_adaptor.repositories.vectors import SqlVectors
from services.domain import TenantId


def repositories_for(connection: AsyncConnection, tenant: TenantId) -> Repositories:
    """All repositories on one connection, for one tenant."""
    return Repositories(
        datasets=SqlDatasets(connection, tenant),
        documents=SqlDocuments(connection, tenant),
        vectors=SqlVectors(connection, tenant),
        postings=SqlPostings(connection, tenant),
        trees=SqlTrees(connection, tenant),
        jobs=SqlJobs(connection, tenant),
        search=SqlSearch(connection, tenant),
        catalog=SqlCatalog(connection, tenant),
        ledger=SqlLedger(connection, tenant),
    )
