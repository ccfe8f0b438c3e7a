"""What calls of models used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls used; `cost` in US dollars. `cache_hits` are results that were there already, and free;
    `cache_misses` are those that were looked for and had to be made. `counted_here` are calls whose tokens the provider
    did not tell (Ollama, llama.cpp): `utils/tokens.py` counted them."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_hits: int = 0
    cost: float = 0.0
    cache_misses: int = 0
    counted_here: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_hits + other.cache_hits,
            self.cost + other.cost,
            self.cache_misses + other.cache_misses,
            self.counted_here + other.counted_here,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.calls - other.calls,
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cached_tokens - other.cached_tokens,
            self.cache_hits - other.cache_hits,
            self.cost - other.cost,
            self.cache_misses - other.cache_misses,
            self.counted_here - other.counted_here,
        )
