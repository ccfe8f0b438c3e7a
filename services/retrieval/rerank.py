"""The best hits in the order of a reranking model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from services.cost.usage import Usage
from services.errors import ProviderError
from services.models.reranking import Reranker
from services.retrieval.hits import Hit

logger = logging.getLogger(__name__)

# Hits that a reranker is shown; the rest is left out.
RERANKED = 50


async def reranked(reranker: Reranker, text: str, hits: Sequence[Hit]) -> tuple[Sequence[Hit], Usage, tuple[str, ...]]:
    """The first hits in the reranker's order. Where it fails, as they were, and a note that says so."""
    first = hits[:RERANKED]
    if not first:
        return hits, Usage(), ()
    try:
        answer = await reranker.rerank(text, [hit.model_text for hit in first])
    except ProviderError as error:
        logger.warning("reranker failed", extra={"reranker": reranker.name, "error": error.as_json()})
        note = f"The reranker {reranker.name} did not answer ({error.code}); the order is that of the search."
        return hits, Usage(), (note,)
    best_first = sorted(range(len(first)), key=lambda at: (-answer.scores[at], at))
    return [replace(first[at], score=answer.scores[at]) for at in best_first], answer.usage, ()
