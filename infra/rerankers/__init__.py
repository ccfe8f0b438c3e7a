"""Rerankers by wire format. A new one is a line here; `tests/contracts` runs over all."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from constants.models import RerankerSpec
from infra.providers.access import ProviderEndpoint
from infra.rerankers.http import CohereReranker, PlainReranker, VoyageReranker
from infra.rerankers.provider import ProviderReranker

RERANKERS: dict[str, Callable[[RerankerSpec, ProviderEndpoint, httpx2.AsyncClient], ProviderReranker]] = {
    "voyage": VoyageReranker,
    "cohere": CohereReranker,
    "rerank": PlainReranker,
}
