"""Chat models by wire format. A new one is a file beside this and a line here; `tests/contracts` runs over all."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from constants.models import ChatSpec
from infra.providers.access import ProviderEndpoint
from services.models.chat import ChatModel


def openai_chat(spec: ChatSpec, access: ProviderEndpoint, http: httpx2.AsyncClient) -> ChatModel:
    # Imported with the first model that needs it: the SDK takes half a second.
    from infra.llm.openai_compatible import OpenAICompatibleChat

    return OpenAICompatibleChat(spec, access, http)


CHAT_MODELS: dict[str, Callable[[ChatSpec, ProviderEndpoint, httpx2.AsyncClient], ChatModel]] = {
    "openai": openai_chat,
}
