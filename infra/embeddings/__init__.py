"""Embedders by wire format. A new one is a file beside this and a line here; `tests/contracts` runs over all.

The built-in one (`lexical.py`) is no provider's: it is opened by its name in `infra/models.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from constants.models import EmbedderSpec
from infra.embeddings.openai_compatible import OpenAICompatibleEmbedder
from infra.embeddings.provider import ProviderEmbedder
from infra.providers.access import ProviderEndpoint


def voyage(spec: EmbedderSpec, access: ProviderEndpoint, _http: httpx2.AsyncClient) -> ProviderEmbedder:
    """Imported when it is used: the SDK takes a second and a half and 70 MB, which an installation without a Voyage key
    need not spend."""
    from infra.embeddings.voyage import VoyageContextualEmbedder

    return VoyageContextualEmbedder(spec, access)


EMBEDDERS: dict[str, Callable[[EmbedderSpec, ProviderEndpoint, httpx2.AsyncClient], ProviderEmbedder]] = {
    "openai": OpenAICompatibleEmbedder,
    "voyage_contextual": voyage,
}
