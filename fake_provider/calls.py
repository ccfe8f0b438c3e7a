"""What came in: which endpoint, in whose dialect, with whose key, and which texts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fake_provider.refusals import Dialect
from fake_provider.tokens import token_counts

Endpoint = Literal["chat", "embeddings", "contextualized", "rerank"]

_ENDINGS: tuple[tuple[str, Endpoint], ...] = (
    ("/chat/completions", "chat"),
    ("/contextualizedembeddings", "contextualized"),
    ("/embeddings", "embeddings"),
    ("/rerank", "rerank"),
)
_DIALECT_OF_PATH: tuple[tuple[str, Dialect], ...] = (
    ("/v1beta/openai/", "gemini"),
    ("/compatible-mode/", "dashscope"),
    ("/openai/v1/", "azure"),
    ("/compatibility/", "cohere"),
    ("/v2/", "cohere"),
)
_TEXT_FIELDS: Mapping[Endpoint, Sequence[str]] = {
    "chat": ("messages",),
    "embeddings": ("input",),
    "contextualized": ("inputs", "input"),
    "rerank": ("query", "documents", "texts"),
}
_VOYAGE_RERANKER = re.compile(r"rerank-(?:lite-)?\d")
# Delimiters carry a mark that is drawn for each call: without it, the same question is the same bytes.
_MARK = re.compile(rb"(</?[a-z]{2,12}) [0-9A-Za-z_-]{4,64}(?=[ >])")


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """`tokens` are those of the input. `fingerprint` is the first 8 hex digits of the SHA-256 of the key; `digest`
    names the request whatever its key and whatever marks its delimiters carry."""

    path: str
    endpoint: Endpoint
    dialect: Dialect
    key: str = field(repr=False)
    fingerprint: str
    body: Mapping[str, Any] = field(repr=False)
    texts: tuple[str, ...] = field(repr=False)
    tokens: int
    digest: str
    well_formed: bool

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def streams(self) -> bool:
        return self.endpoint == "chat" and self.body.get("stream") is True


def read_call(path: str, headers: Mapping[str, str], raw: bytes) -> ReceivedCall | None:
    """None for a path that no provider has. A body that is no JSON object makes a call that is not `well_formed`.

    `headers` have lower-case names.
    """
    endpoint = next((endpoint for ending, endpoint in _ENDINGS if path.endswith(ending)), None)
    if endpoint is None:
        return None
    body = _json_object(raw)
    known = body or {}
    key = _key(headers)
    texts = tuple(text for name in _TEXT_FIELDS[endpoint] for text in _strings(known.get(name)))
    return ReceivedCall(
        path=path,
        endpoint=endpoint,
        dialect=_dialect(endpoint, path, known, headers),
        key=key,
        fingerprint=fingerprint(key),
        body=known,
        texts=texts,
        tokens=_tokens(endpoint, texts),
        digest=hashlib.sha256(path.encode() + b"\n" + _MARK.sub(rb"\1", raw)).hexdigest()[:16],
        well_formed=body is not None,
    )


def fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _key(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("api-key", headers.get("x-goog-api-key", "")).strip()


def _dialect(endpoint: Endpoint, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Dialect:
    if endpoint == "contextualized":
        return "perplexity" if "input" in body and "inputs" not in body else "voyage"
    by_path = next((dialect for part, dialect in _DIALECT_OF_PATH if part in path), None)
    if by_path is not None:
        return by_path
    model = str(body.get("model") or "")
    if endpoint == "rerank":
        return _rerank_dialect(model, body)
    if endpoint == "embeddings" and model.startswith(("voyage-", "pplx-")):
        return "voyage" if model.startswith("voyage-") else "perplexity"
    if "api-key" in headers:
        return "azure"
    return "deepseek" if path == "/chat/completions" else "openai"


def _rerank_dialect(model: str, body: Mapping[str, Any]) -> Dialect:
    if "texts" in body:
        return "tei"
    if "top_k" in body or "truncation" in body or _VOYAGE_RERANKER.match(model):
        return "voyage"
    return "jina"


def _strings(value: Any) -> Iterator[str]:
    """All texts within, in order; of a message or a part of one only what it says. A token's number stands for it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        yield from _strings(value.get("content"))
        yield from _strings(value.get("text"))


def _tokens(endpoint: Endpoint, texts: Sequence[str]) -> int:
    counts = token_counts(texts)
    if endpoint == "rerank" and counts:
        return counts[0] * (len(counts) - 1) + sum(counts[1:])  # the question is read with each document
    return sum(counts)
