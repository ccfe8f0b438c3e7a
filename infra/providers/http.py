"""The HTTP client below the SDKs: bounded in time and size, without the environment's proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from infra.limiter import note_limits

# The whole of a call has a deadline in `infra/retrying.py`: a byte a second never runs into these.
TIMEOUT = httpx2.Timeout(120.0, connect=5.0, pool=30.0)
# The largest true answer is a batch of 64 vectors of 4,096 dimensions as decimal text: about 5 MB.
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024


class AnswerTooLarge(httpx2.ReadError):
    """The provider sends more than any answer has."""


class AnswerCompressed(httpx2.ReadError):
    """The provider compresses although it was asked not to: a few kilobytes may be gigabytes."""


class BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > LARGEST_ANSWER_BYTES:
                raise AnswerTooLarge("the answer is too large")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        note_limits(response.headers)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.stream.aclose()
            raise AnswerCompressed("the answer is compressed")
        response.stream = BoundedStream(response.stream)
        return response


def http_client() -> httpx2.AsyncClient:
    """One for all providers and keys of a process: connections are shared, headers and keys are not."""
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
    # Decompression is off: an answer's size is what comes through the wire.
    return httpx2.AsyncClient(
        transport=BoundedTransport(limits=limits),
        timeout=TIMEOUT,
        trust_env=False,
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
    )
