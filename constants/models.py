"""What is known of models: names, capabilities and prices. `infra/model_registry.py` reads them from `models.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. `cached` is what input costs that the provider had seen before; `search` is for
    one reranking. Of a model without published prices nothing is `known`, and its calls are booked at 0."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None
    search: float = 0.0
    known: bool = True

    def of(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> float:
        """The cost of a call, of whose input `cached_tokens` were cached."""
        cached = self.input if self.cached is None else self.cached
        fresh = input_tokens - cached_tokens
        return (fresh * self.input + cached_tokens * cached + output_tokens * self.output) / 1e6


UNPRICED = Price(known=False)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    name: str
    base_url: str
    byok: str = ""
    rerank_url: str = ""
    start: int = 0  # calls at once before the provider has told its limits; 0: as many as the model allows


@dataclass(frozen=True, slots=True)
class ChatSpec:
    """What a chat model accepts; the comments of `models.toml` say what the words mean."""

    provider: str
    model: str
    price: Price = UNPRICED
    context: int = 32_000
    temperature: Literal["any", "one", "ignored"] = "any"
    seed: bool = False
    json: Literal["schema", "object", "none"] = "object"
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    body: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 16
    disabled: bool = False

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    provider: str
    model: str
    kind: Literal["openai", "voyage_contextual"] = "openai"
    dimensions: int = 1024  # 0: not known yet
    send_dimensions: bool = False
    max_tokens: int = 8_000
    window: int = 0
    batch: int = 64
    batch_tokens: int = 100_000
    query: str = ""
    price: Price = UNPRICED
    concurrency: int = 4
    disabled: bool = False

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class RerankerSpec:
    provider: str
    model: str
    kind: Literal["voyage", "cohere", "rerank"] = "rerank"
    price: Price = UNPRICED
    disabled: bool = False

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Alias:
    model: str
    retired: str = ""


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    prices_of: date
    providers: Mapping[str, ProviderSpec]
    aliases: Mapping[str, Alias]
    chat: Mapping[str, ChatSpec]
    embedders: Mapping[str, EmbedderSpec]
    weights: Mapping[str, Mapping[str, Any]]
    rerankers: Mapping[str, RerankerSpec]
    chat_order: tuple[str, ...]
    embedder_order: tuple[str, ...]

    def open_weights(self, model: str) -> Mapping[str, Any] | None:
        """What is known of open weights under the names that servers give them: with or without the organisation, in
        any case, with Ollama's tag or without."""
        name = model.rpartition("/")[2].casefold()
        for wanted in (name, name.partition(":")[0]):
            for weights, known in self.weights.items():
                if weights.rpartition("/")[2].casefold() == wanted:
                    return known
        return None
