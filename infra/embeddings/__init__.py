"""Embedders by wire format. A new one is a file beside this and a line here; `tests/contracts` runs over all.

The built-in one (`lexical.py`) is no provider's: it is opened by its name in `infra/models.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from constants.models import EmbedderSpec
from infra.embeddings.provider import ProviderEmbedder
from infra.providers.access import ProviderEndpoint

# The SDKs are imported with the first embedder that needs them: openai takes half a second, voyageai one and a half and
# 70 MB, which an installation without keys need not spend.


def openai_embedder(spec: EmbedderSpec, access: ProviderEndpoint, http: httpx2.AsyncClient) -> ProviderEmbedder:
    from infra.embeddings.openai_compatible import OpenAICompatibleEmbedder

    return OpenAICompatibleEmbedder(spec, access, http)


def voyage_contextual(spec: EmbedderSpec, access: ProviderEndpoint, _http: httpx2.AsyncClient) -> ProviderEmbedder:
    from infra.embeddings.voyage import VoyageContextualEmbedder

    return VoyageContextualEmbedder(spec, access)


EMBEDDERS: dict[str, Callable[[EmbedderSpec, ProviderEndpoint, httpx2.AsyncClient], ProviderEmbedder]] = {
    "openai": openai_embedder,
    "voyage_contextual": voyage_contextual,
}
