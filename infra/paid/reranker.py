"""A reranker on somebody's key."""

from __future__ import annotations

from collections.abc import Sequence

from infra.limiter import Call
from infra.paid.calls import PaidCalls
from infra.rerankers.provider import ProviderReranker
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.models.reranking import Reranked
from utils.tokens import estimate_tokens


class PaidReranker:
    def __init__(self, inner: ProviderReranker, calls: PaidCalls, context: CallContext) -> None:
        self.name = inner.spec.name
        self._inner = inner
        self._calls = calls
        self._errand = context

    async def rerank(self, query: str, texts: Sequence[str]) -> Reranked:
        spec = self._inner.spec
        tokens = sum(map(estimate_tokens, texts)) + len(texts) * estimate_tokens(query)
        expected = Usage(calls=1, input_tokens=tokens, cost=spec.price.of(tokens, 0, 0) + spec.price.search)

        async def ask(call: Call) -> Reranked:
            reranked = await self._inner.send(query, texts)
            call.tokens = reranked.usage.input_tokens
            return reranked

        async def book(reranked: Reranked) -> None:
            await self._calls.results.put(
                self._errand,
                None,
                stage="rerank",
                provider=spec.provider,
                model=spec.model,
                output=None,
                usage=reranked.usage,
            )
            self._errand.meter.add(reranked.usage)

        return await self._calls.run("rerank", spec, expected, self._errand, (query, *texts), ask, book)
