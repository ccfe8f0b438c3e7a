"""What is stored, spoken of in the words of the product."""

from __future__ import annotations

from interfaces_adaptor.repositories.cited import Cited
from interfaces_adaptor.repositories.dataset_entries import DatasetEntries
from interfaces_adaptor.repositories.datasets import Datasets
from interfaces_adaptor.repositories.document_changes import DocumentChanges
from interfaces_adaptor.repositories.document_entries import DocumentEntries
from interfaces_adaptor.repositories.job_endings import JobEndings
from interfaces_adaptor.repositories.job_entries import JobEntries
from interfaces_adaptor.repositories.ledger import Ledger
from interfaces_adaptor.repositories.node_entries import NodeEntries
from interfaces_adaptor.repositories.old_generations import OldGenerations
from interfaces_adaptor.repositories.rollback import Rollback
from interfaces_adaptor.repositories.search import Search
from interfaces_adaptor.repositories.undeletion import Undeletion
from interfaces_adaptor.repositories.uploads import Uploads
from interfaces_adaptor.repositories.vectors import Vectors
from interfaces_adaptor.repositories.webhooks import StoredWebhooks


class Storage(
    DatasetEntries,
    DocumentEntries,
    DocumentChanges,
    NodeEntries,
    Rollback,
    OldGenerations,
    JobEntries,
    Datasets,
    Undeletion,
    Vectors,
    JobEndings,
    Uploads,
    StoredWebhooks,
    Search,
    Cited,
    Ledger,
):
    """A unit of work that reaches everything. A flow names the methods that it calls in a Protocol beside itself."""
