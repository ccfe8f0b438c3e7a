"""Voyage's contextual embeddings: a document's chunks are read together, in order, a window at a time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, Literal

import aiohttp
import voyageai
import voyageai.error
from voyageai.api_resources import ContextualizedEmbedding

from constants.models import EmbedderSpec
from infra.embeddings.answers import checked_vectors, embedding_usage
from infra.embeddings.batching import window_units
from infra.limiter import note_limits
from infra.providers.access import ProviderEndpoint
from infra.providers.failures import bad_answer, failure, unreachable
from infra.providers.http import LARGEST_ANSWER_BYTES
from infra.providers.usage import reported_tokens
from services.arrays import FloatArray
from services.cost.usage import Usage
from services.domain import EmbeddingSpace
from services.errors import ProviderError
from services.models.embedding import EmbeddingUnit
from utils.tokens import estimate_tokens, truncate_to_tokens

TIMEOUT_S = 120.0

# It writes what the provider answers, which may repeat the key, and at DEBUG the users' texts; the errors raised here
# say the same without either.
logging.getLogger("voyage").setLevel(logging.CRITICAL)


class AnswerBroken(ConnectionError):
    """The answer does not come in whole. No error of aiohttp's: of those the SDK writes what it has read to standard
    error, past every log, and reads on."""


class BoundedResponse(aiohttp.ClientResponse):
    """An answer of bounded size; its rate limits are noted."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        response = await super().start(connection)
        note_limits({name.lower(): value for name, value in self.headers.items()})
        return response

    async def read(self) -> bytes:
        if self._body is None:
            if self.headers.get("content-encoding", "identity").lower() != "identity":
                raise AnswerBroken("the answer is compressed")
            body = bytearray()
            try:
                async for part in self.content.iter_any():
                    body += part
                    if len(body) > LARGEST_ANSWER_BYTES:
                        self.close()
                        raise AnswerBroken("the answer is too large")
            except TimeoutError:
                raise
            except aiohttp.ClientError as error:
                raise AnswerBroken("the answer breaks off") from error
            self._body = bytes(body)
        return self._body


def session() -> aiohttp.ClientSession:
    """For one call, as the SDK would make its own; without decompression and the
    environment's proxies."""
    return aiohttp.ClientSession(response_class=BoundedResponse, auto_decompress=False, trust_env=False)


class VoyageContextualEmbedder:
    def __init__(self, spec: EmbedderSpec, access: ProviderEndpoint) -> None:
        self.space = EmbeddingSpace(spec.provider, spec.model, spec.dimensions)
        self.spec = spec
        self.max_tokens = spec.window
        self._key = access.key
        # Key and address are always given: without them the SDK takes the operator's from the environment.
        self._where = {"api_key": access.key, "base_url": access.base_url.rstrip("/"), "request_timeout": TIMEOUT_S}

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        return window_units(self.space, texts, self.spec.window)

    def requests(self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]) -> list[list[list[str]]]:
        """Documents, cut into windows, packed into requests within the API's limits on documents and tokens."""
        requests: list[list[list[str]]] = []
        size = 0
        for document in documents:
            texts = [truncate_to_tokens(text, self.spec.window) for text in document]
            for unit in self.units(texts):
                window = [texts[position] for position in unit.positions]
                cost = sum(map(estimate_tokens, window))
                if not requests or len(requests[-1]) == self.spec.batch or size + cost > self.spec.batch_tokens:
                    requests.append([])
                    size = 0
                requests[-1].append(window)
                size += cost
        return requests

    async def send(
        self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]
    ) -> tuple[FloatArray, Usage]:
        try:
            answer = await self._answer(documents, kind)
            rows = numbered(answer.data, documents)
            said = reported_tokens(getattr(answer, "usage", None), "total_tokens")
        except Exception as error:
            # The SDK takes some errors for answers and then fails on what they lack.
            raise self._typed(error) from None
        texts = [text for document in documents for text in document]
        vectors = checked_vectors(rows, len(texts), self.spec.dimensions, self.spec.provider, self.spec.model)
        return vectors, embedding_usage(said, texts, self.spec.price)

    async def _answer(self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]) -> Any:
        async with session() as opened:
            token = voyageai.aiosession.set(opened)
            try:
                # The SDK's client numbers what comes back by its place; here the answer's own numbers are read, so that
                # an answer in another order is put right and one with wrong numbers refused.
                return await ContextualizedEmbedding.acreate(  # type: ignore[no-untyped-call]
                    inputs=[list(document) for document in documents],
                    model=self.spec.model,
                    input_type=kind,
                    output_dimension=self.spec.dimensions,
                    **self._where,
                )
            finally:
                voyageai.aiosession.reset(token)

    def _typed(self, error: Exception) -> ProviderError:
        provider, model = self.spec.provider, self.spec.model
        if isinstance(error, voyageai.error.Timeout | asyncio.TimeoutError):
            return unreachable(provider, model, "time is up")
        if isinstance(error, voyageai.error.APIConnectionError | aiohttp.ClientError | OSError):
            return unreachable(provider, model, type(error).__name__)
        # A 200 whose body cannot be read is an error of the SDK's too, and no refusal.
        if isinstance(error, voyageai.error.VoyageError) and (error.http_status or 0) >= 400:
            headers = {str(name).lower(): str(value) for name, value in dict(error.headers or {}).items()}
            return failure(provider, model, int(error.http_status), body_of(error), headers, self._key)
        return bad_answer(provider, model, type(error).__name__)


def firsts(documents: Sequence[Sequence[str]]) -> list[int]:
    """The position of each document's first text in the flattened order."""
    positions, position = [], 0
    for document in documents:
        positions.append(position)
        position += len(document)
    return positions


def numbered(data: Sequence[Any], documents: Sequence[Sequence[str]]) -> list[tuple[int, Sequence[float]]]:
    """Vectors with their place in the flattened order. Raises ValueError for an answer of another shape."""
    if sorted(result.index for result in data) != list(range(len(documents))):
        raise ValueError("vectors for other documents than were sent")
    places = firsts(documents)
    rows = []
    for result in data:
        if sorted(entry.index for entry in result.data) != list(range(len(documents[result.index]))):
            raise ValueError("vectors for other texts than were sent")
        rows += [(places[result.index] + entry.index, entry.embedding) for entry in result.data]
    return rows


def body_of(error: voyageai.error.VoyageError) -> Any:
    if error.json_body is not None:
        return error.json_body
    try:
        return json.loads(error.http_body or "")
    except (ValueError, TypeError):
        return str(error.http_body or error)[:500]
