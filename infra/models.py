"""Models by name, opened for an context: the registry's facts, the operator's or the caller's key, the calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import httpx2

from constants.models import Alias, ChatSpec, EmbedderSpec, ModelRegistry, Price, RerankerSpec
from infra.embeddings import EMBEDDERS
from infra.embeddings.lexical import LexicalEmbedder
from infra.embeddings.provider import ProviderEmbedder
from infra.limiter import Limiter, Limits
from infra.llm import CHAT_MODELS
from infra.llm.extractive import ExtractiveSummarizer
from infra.paid.calls import PaidCalls, SingleFlight
from infra.paid.chat import PaidChat
from infra.paid.embedder import PaidEmbedder
from infra.paid.reranker import PaidReranker
from infra.paid.results import PaidResults
from infra.providers.access import NO_KEY, ProviderAccess, ProviderEndpoint
from infra.rerankers import RERANKERS
from infra.retrying import RetryPolicy
from services.compute import Compute
from services.cost.budget import CallContext, Terms
from services.domain import EmbeddingSpace
from services.errors import UnknownModel
from services.models.chat import ChatModel
from services.models.embedding import Embedder, EmbeddingUnit
from services.models.registry import AUTO, EmbedderTerms, ResolvedModel
from services.models.reranking import Reranker
from services.models.summary import Summarizer
from services.text.extractive import NAME as EXTRACTIVE
from services.tree.summarize import ChatSummarizer

logger = logging.getLogger(__name__)

BUILTIN = "builtin"


@dataclass(frozen=True, slots=True)
class BuiltinTerms:
    """Of the embedder that nobody pays for."""

    terms: Terms | None = None
    batch: int = LexicalEmbedder.batch

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        return LexicalEmbedder(None).units(texts)

    def calls(self, documents: Sequence[Sequence[str]]) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    embedder: ProviderEmbedder
    terms: Terms | None

    @property
    def batch(self) -> int:
        return self.embedder.spec.batch

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        return self.embedder.units(texts)

    def calls(self, documents: Sequence[Sequence[str]]) -> int:
        return len(self.embedder.requests(documents, "document"))


@dataclass(frozen=True, slots=True)
class OpenModels:
    """Implements `services.models.registry.Models`. `compute` runs the built-in ones in a process pool; without it they
    run in the calling thread, which is right for a question and wrong for a build. `limits` are the operator's, by
    provider.
    """

    registry: ModelRegistry
    access: ProviderAccess
    results: PaidResults
    limiter: Limiter
    http: httpx2.AsyncClient
    limits: Mapping[str, Limits] = field(default_factory=dict)
    retries: RetryPolicy = RetryPolicy()
    compute: Compute | None = None
    summary_fallback: bool = True
    default_chat_name: str | None = None
    default_embedder_name: str | None = None
    flights: SingleFlight = field(default_factory=SingleFlight)
    measured: dict[str, int] = field(default_factory=dict)

    # Names.

    def resolve_chat(self, name: str) -> ResolvedModel:
        alias = self.registry.aliases.get(name)
        if alias is not None:
            enabled(self._chat_spec(alias.model))
            return ResolvedModel(alias.model, note_on(alias))
        if name == EXTRACTIVE or enabled(self._chat_spec(name)) is not None:
            return ResolvedModel(name)
        raise UnknownModel(
            f"There is no chat model {name[:100]!r} here: name one of `details.known`, or provider/model.",
            known=sorted({*self.registry.aliases, *self.registry.chat, EXTRACTIVE}),
        )

    def _chat_spec(self, name: str) -> ChatSpec | None:
        """Of a model in the registry; any other model of a known provider is called with the commonest habits, unless
        it is known to be no chat model."""
        known = self.registry.chat.get(name)
        if known is not None or name in self.registry.embedders or name in self.registry.rerankers:
            return known
        provider, _, model = name.partition("/")
        return ChatSpec(provider, model) if model and provider in self.access.providers() else None

    def resolve_embedder(self, name: str) -> ResolvedModel:
        alias = self.registry.aliases.get(name)
        if alias is None or alias.model in self.registry.chat:
            return ResolvedModel(name)
        return ResolvedModel(alias.model, note_on(alias))

    async def space(self, name: str | None, context: CallContext) -> EmbeddingSpace:
        name = self.resolve_embedder(name or self.default_embedder(context)).name
        if name == LexicalEmbedder.space.name:
            return LexicalEmbedder.space
        if name not in self.measured and self._is_unknown(name):
            self.measured[name] = await self._measure(name, context)
        spec = self._embedder_spec(name, self.measured.get(name))
        return EmbeddingSpace(spec.provider, spec.model, spec.dimensions)

    def _is_unknown(self, name: str) -> bool:
        """Whether a provider is known, but not what this model of it gives."""
        provider, _, model = name.partition("/")
        known = name in self.registry.embedders or self.registry.open_weights(model) is not None
        return bool(model) and provider in self.access.providers() and not known

    async def _measure(self, name: str, context: CallContext) -> int:
        """The dimensions of a model that nothing says them of: those of one vector of it."""
        provider, _, model = name.partition("/")
        access = self.access.open(provider, context.keys)
        plain = EMBEDDERS["openai"](EmbedderSpec(provider, model, dimensions=0), access, self.http)
        embedder = PaidEmbedder(plain, self._calls(provider, access, None), context)
        dimensions = int((await embedder.embed([["dimensions"]], kind="query")).vectors.shape[1])
        logger.info("embedder measured", extra={"model": name, "dimensions": dimensions})
        return dimensions

    def _embedder_spec(self, name: str, dimensions: int | None) -> EmbedderSpec:
        """Raises UnknownModel. A server of one's own serves any model by its name, as `provider/organisation/model`;
        what is known of open weights (dimensions, the words before a question) goes with the name."""
        known = self.registry.embedders.get(name)
        provider, _, model = name.partition("/")
        if known is None and model and provider in self.access.providers():
            weights = self.registry.open_weights(model)
            if weights is not None:
                known = EmbedderSpec(provider, model, **weights)
            elif dimensions is not None:
                known = EmbedderSpec(provider, model, dimensions=dimensions)
        if known is None:
            raise UnknownModel(
                f"There is no embedder {name[:100]!r} here: name one of `details.known`, or provider/model. A server of"
                " the operator's is a provider once RAPTOR_PROVIDER_BASE_URLS names it.",
                known=sorted({*self.registry.embedders, LexicalEmbedder.space.name}),
            )
        enabled(known)
        return known

    def chosen_chat(self, name: str, context: CallContext) -> str:
        if name != AUTO:
            return name
        if self.default_chat_name is not None:
            return self.resolve_chat(self.default_chat_name).name
        for known in self.registry.chat_order:
            if self.access.has_key(known.partition("/")[0], context.keys):
                return known
        return EXTRACTIVE

    def default_embedder(self, context: CallContext) -> str:
        if self.default_embedder_name is not None:
            return self.default_embedder_name
        for name in self.registry.embedder_order:
            if self.access.has_key(name.partition("/")[0], context.keys):
                return name
        return LexicalEmbedder.space.name

    def better_embedder(self, space: EmbeddingSpace, context: CallContext) -> str | None:
        best = self.resolve_embedder(self.default_embedder(context)).name
        builtin, order = LexicalEmbedder.space.name, [*self.registry.embedder_order, LexicalEmbedder.space.name]
        if best == space.name or best == builtin or space.name not in order:
            return None
        ranked = best in order and order.index(best) > order.index(space.name)
        return None if ranked else best

    def check(self, name: str, context: CallContext) -> None:
        resolved = self.resolve_chat(self.chosen_chat(name, context)).name
        if resolved != EXTRACTIVE:
            self.access.open(resolved.partition("/")[0], context.keys)

    def check_embedder(self, name: str, context: CallContext) -> None:
        resolved = self.resolve_embedder(name).name
        if resolved != LexicalEmbedder.space.name:
            # Its dimensions are nobody's question here.
            self.access.open(self._embedder_spec(resolved, 1).provider, context.keys)

    # Opening.

    def embedder(self, space: EmbeddingSpace, context: CallContext) -> Embedder:
        if space == LexicalEmbedder.space:
            return LexicalEmbedder(self.compute)
        spec = self._embedder_spec(space.name, space.dimensions)
        if spec.dimensions != space.dimensions:
            spec = replace(spec, dimensions=space.dimensions)
        access = self.access.open(spec.provider, context.keys)
        plain = EMBEDDERS[spec.kind](spec, access, self.http)
        return PaidEmbedder(plain, self._calls(spec.provider, access, None), context)

    def chat(self, name: str, context: CallContext) -> ChatModel:
        resolved = self.resolve_chat(name).name
        spec = self._chat_spec(resolved)
        if spec is None:
            raise UnknownModel(f"{resolved} is no chat model.", known=sorted(self.registry.chat))
        access = self.access.open(spec.provider, context.keys)
        limit = self.limits.get(spec.provider, Limits()).concurrency
        spec = spec if limit is None else replace(spec, concurrency=min(limit, spec.concurrency))
        plain = CHAT_MODELS["openai"](spec, access, self.http)
        return PaidChat(spec, plain, self._calls(spec.provider, access, spec.concurrency), context)

    def summarizer(self, name: str, context: CallContext) -> Summarizer:
        extractive = ExtractiveSummarizer(self.compute)
        resolved = self.resolve_chat(name).name
        if resolved == EXTRACTIVE:
            return extractive
        return ChatSummarizer(self.chat(resolved, context), extractive if self.summary_fallback else None)

    # Terms, for which nothing is opened.

    def chat_terms(self, name: str) -> Terms | None:
        resolved = self.resolve_chat(name).name
        if resolved == EXTRACTIVE:
            return None
        spec = self._chat_spec(resolved)
        if spec is None:
            raise UnknownModel(f"{resolved} is no chat model.", known=sorted(self.registry.chat))
        return self._terms(spec.provider, spec.model, spec.price, spec.concurrency)

    def embedder_terms(self, space: EmbeddingSpace) -> EmbedderTerms:
        if space == LexicalEmbedder.space:
            return BuiltinTerms()
        spec = replace(self._embedder_spec(space.name, space.dimensions), dimensions=space.dimensions)
        never_called = EMBEDDERS[spec.kind](spec, ProviderEndpoint(base_url="", key=NO_KEY), self.http)
        return ProviderTerms(never_called, self._terms(spec.provider, spec.model, spec.price, spec.concurrency))

    def _terms(self, provider: str, model: str, price: Price, concurrency: int) -> Terms:
        limits = self.limits.get(provider, Limits())
        at_once = concurrency if limits.concurrency is None else min(concurrency, limits.concurrency)
        return Terms(provider, model, price, at_once, limits.rpm, limits.tpm, limits.min_interval_s)

    def reranker(self, name: str, context: CallContext) -> Reranker:
        spec = self.registry.rerankers.get(name)
        provider, _, model = name.partition("/")
        if spec is None and model and provider in self.access.base_urls:
            spec = RerankerSpec(provider, model)
        if spec is None:
            raise UnknownModel(
                f"There is no reranker {name[:100]!r} here: name one of `details.known`, or provider/model on a server"
                " of the operator's.",
                known=sorted(self.registry.rerankers),
            )
        enabled(spec)
        access = self.access.open(spec.provider, context.keys)
        return PaidReranker(
            RERANKERS[spec.kind](spec, access, self.http), self._calls(spec.provider, access, None), context
        )

    def _calls(self, provider: str, access: ProviderEndpoint, concurrency: int | None) -> PaidCalls:
        spec = self.registry.providers.get(provider)
        configured = self.limits.get(provider, Limits())
        limits = replace(
            configured,
            concurrency=configured.concurrency if configured.concurrency is not None else concurrency,
            start=spec.start if spec is not None else 0,
        )
        return PaidCalls(self.results, self.limiter, self.retries, self.flights, limits, access.key)


def note_on(alias: Alias) -> str:
    return f"{alias.retired}; {alias.model} takes its place." if alias.retired else ""


Spec = TypeVar("Spec", ChatSpec | None, EmbedderSpec, RerankerSpec)


def enabled(spec: Spec) -> Spec:
    """Raises UnknownModel for a model that the operator has switched off."""
    if spec is not None and spec.disabled:
        raise UnknownModel(f"{spec.name} is switched off here; name another.", model=spec.name)
    return spec
