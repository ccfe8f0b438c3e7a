"""A service whose models are a fake provider's: for tests of what is asked of a chat model."""

from __future__ import annotations

from pydantic import SecretStr

from app.settings import Settings
from infra.fake_provider import RunningFakeProvider

OPERATOR_KEY = "operator-key-0001"


def asking(settings: Settings, provider: RunningFakeProvider, **changes: object) -> Settings:
    """The settings with a key for OpenAI, and every provider at the fake one's address."""
    providers = settings.providers.model_copy(
        update={
            "openai_api_key": SecretStr(OPERATOR_KEY),
            "provider_base_url_override": provider.url,
            **changes,
        }
    )
    return settings.model_copy(update={"providers": providers})
