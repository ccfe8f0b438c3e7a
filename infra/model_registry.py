"""Reading the model registry: the shipped `constants/models.toml`, and the operator's file over it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from constants.models import UNPRICED, Alias, ChatSpec, EmbedderSpec, ModelRegistry, Price, ProviderSpec, RerankerSpec


def load_models(override: Path | None = None) -> ModelRegistry:
    """The shipped registry with the operator's file laid over it. Raises OSError, ValueError, TypeError for a file that
    cannot be read or has other fields."""
    data = tomllib.loads(resources.files("constants").joinpath("models.toml").read_text(encoding="utf-8"))
    if override is not None:
        data = laid_over(data, tomllib.loads(override.read_text(encoding="utf-8")))
    return ModelRegistry(
        prices_of=data["prices_of"],
        providers={name: ProviderSpec(name, **entry) for name, entry in data["providers"].items()},
        aliases={name: Alias(**entry) for name, entry in data["aliases"].items()},
        chat={name: ChatSpec(*split(name), **priced(entry)) for name, entry in data["chat"].items()},
        embedders={name: EmbedderSpec(*split(name), **priced(entry)) for name, entry in data["embedders"].items()},
        weights=data["weights"],
        rerankers={name: RerankerSpec(*split(name), **priced(entry)) for name, entry in data["rerankers"].items()},
        chat_order=tuple(data["defaults"]["chat"]),
        embedder_order=tuple(data["defaults"]["embedders"]),
    )


def laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = laid_over(under, value) if isinstance(under, dict) and isinstance(value, Mapping) else value
    return merged


def split(name: str) -> tuple[str, str]:
    provider, _, model = name.partition("/")
    if not model:
        raise ValueError(f"a model is named provider/model, not {name!r}")
    return provider, model


def priced(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "price": Price(**entry["price"]) if "price" in entry else UNPRICED}
