"""A service whose models are a fake provider's: for tests of what is asked of a chat model."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from pydantic import SecretStr

from app.container import Container
from app.main import create_app
from app.settings import Settings
from fake_provider import RunningFakeProvider

OPERATOR_KEY = "operator-key-0001"


def asking(settings: Settings, provider: RunningFakeProvider, **changes: object) -> Settings:
    """The settings with a key for OpenAI, and every provider at the fake one's address."""
    providers = settings.providers.model_copy(
        update={
            "openai_api_key": SecretStr(OPERATOR_KEY),
            "provider_base_url_override": provider.url,
            "provider_retry_seconds": 0.01,
            **changes,
        }
    )
    return settings.model_copy(update={"providers": providers})


@asynccontextmanager
async def listening(container: Container) -> AsyncIterator[str]:
    """The API on a port of its own, for clients that need a real connection; its address."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(container), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
