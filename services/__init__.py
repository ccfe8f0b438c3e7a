"""What the product does. `Services` is what HTTP, the queue and the command line receive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.answer import Answerer
    from services.embed_texts import TextEmbedder
    from services.estimate_cost import CostEstimator
    from services.ingest_document import DocumentIngestor
    from services.lifecycle import Lifecycle
    from services.ports import Models
    from services.retrieve import Retriever
    from services.store import OpenUnitOfWork


@dataclass(frozen=True, slots=True)
class Services:
    """The flows that a request can start, and the way to read what is stored."""

    ingestor: DocumentIngestor
    retriever: Retriever
    answerer: Answerer
    embedder: TextEmbedder
    lifecycle: Lifecycle
    estimator: CostEstimator
    models: Models
    open_unit_of_work: OpenUnitOfWork
