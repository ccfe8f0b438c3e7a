"""Rerankers over HTTP: three shapes of one request. The SDKs add nothing to it that the till does not have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from constants.models import RerankerSpec
from infra.providers.access import ProviderEndpoint
from infra.providers.failures import bad_answer, failure, unreachable
from services.cost.usage import Usage
from services.models.reranking import Reranked
from utils.tokens import estimate_tokens


class HttpReranker:
    """`path` and the two functions are what a provider's shape differs in."""

    path = "/rerank"

    def __init__(self, spec: RerankerSpec, access: ProviderEndpoint, http: httpx2.AsyncClient) -> None:
        self.spec = spec
        self._url = access.rerank_url.rstrip("/") + self.path
        self._key = access.key
        self._http = http

    async def send(self, query: str, texts: Sequence[str]) -> Reranked:
        provider, model = self.spec.provider, self.spec.model
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            response = await self._http.post(self._url, json=self.body(query, texts), headers=headers)
        except httpx2.HTTPError as error:
            raise unreachable(provider, model, type(error).__name__) from None
        try:
            answer = response.json()
        except ValueError:
            if response.is_success:
                raise bad_answer(provider, model, "no JSON") from None
            answer = response.text[:500]
        if not response.is_success:
            raise failure(provider, model, response.status_code, answer, dict(response.headers), self._key)
        try:
            scores = {int(index): float(score) for index, score in self.scores(answer)}
            ordered = tuple(scores[place] for place in range(len(texts)))
            if not all(map(math.isfinite, ordered)):
                raise ValueError("a score that is no number")
        except (KeyError, TypeError, ValueError):
            raise bad_answer(provider, model, "scores for other texts than were sent") from None
        said = self.tokens(answer)
        tokens = said or sum(map(estimate_tokens, texts)) + len(texts) * estimate_tokens(query)
        cost = self.spec.price.of(tokens, 0, 0) + self.spec.price.search
        return Reranked(ordered, Usage(calls=1, input_tokens=tokens, cost=cost, counted_here=0 if said else 1))

    def body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self.spec.model, "query": query, "documents": list(texts), "top_n": len(texts)}

    def scores(self, answer: Any) -> Sequence[tuple[Any, Any]]:
        return [(entry["index"], entry["relevance_score"]) for entry in answer["results"]]

    def tokens(self, answer: Any) -> int:
        usage = answer.get("usage") if isinstance(answer, Mapping) else None
        return int(usage.get("total_tokens") or 0) if isinstance(usage, Mapping) else 0


class PlainReranker(HttpReranker):
    """vLLM, Jina, and TEI, which answers a bare list."""

    def body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {**super().body(query, texts), "texts": list(texts)}

    def scores(self, answer: Any) -> Sequence[tuple[Any, Any]]:
        if isinstance(answer, list):
            return [(entry["index"], entry["score"]) for entry in answer]
        return super().scores(answer)


class CohereReranker(HttpReranker):
    pass


class VoyageReranker(HttpReranker):
    def body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self.spec.model, "query": query, "documents": list(texts), "truncation": True}

    def scores(self, answer: Any) -> Sequence[tuple[Any, Any]]:
        return [(entry["index"], entry["relevance_score"]) for entry in answer["data"]]
