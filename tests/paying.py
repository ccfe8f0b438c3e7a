"""A service whose models are those of a fake provider, so that calls cost something and nobody pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.settings import Settings
from fake_provider import RunningFakeProvider

SAMPLES = sorted((Path(__file__).resolve().parents[1] / "samples").glob("*.md"))
EMBEDDER = "voyage/voyage-context-3"
CHAT = "deepseek/deepseek-v4-flash"


def paying(settings: Settings, provider: RunningFakeProvider, **changes: Any) -> Settings:
    """The settings with keys for an embedder and a chat model; `changes` are fields of the providers' settings."""
    keys = {"voyage_api_key": SecretStr("operator-voyage"), "deepseek_api_key": SecretStr("operator-deepseek")}
    update = {"provider_base_url_override": provider.url, "provider_retry_seconds": 0.01, **keys, **changes}
    return settings.model_copy(update={"providers": settings.providers.model_copy(update=update)})


def chats(provider: RunningFakeProvider) -> int:
    """How many summaries the provider was asked for."""
    return int(provider.stats()["by_endpoint"].get("/chat/completions", 0))
