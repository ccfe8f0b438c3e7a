"""Embeddings: unit vectors, near where texts share words, in the dimension and the encoding that are asked for."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fake_provider.calls import ReceivedCall
from fake_provider.embedding import Vectors, embedded, unit
from fake_provider.faults import KINDS, FaultRule
from fake_provider.refusals import Refusal
from fake_provider.rows import Row, misplaced
from fake_provider.tokens import token_counts

_DEFAULT_DIMENSION = 1024
_DIMENSION_OF = (  # part of a model's name
    ("minilm", 384),
    ("text-embedding-3-small", 1536),
    ("text-embedding-3-large", 3072),
    ("text-embedding-ada", 1536),
    ("context-v1-4b", 2560),
    ("pplx-embed-v1-4b", 2560),
)
_VOYAGE_DIMENSIONS = (256, 512, 1024, 2048)
_LARGEST_DIMENSION = 4096

_MOST_INPUTS = 2048  # of one call to /embeddings, as OpenAI has it
_MOST_DOCUMENTS = {"voyage": 1000, "perplexity": 512}
_MOST_CHUNKS = 16_000
_MOST_TOKENS = 120_000
_MOST_DOCUMENT_TOKENS = 32_000

_NEIGHBOUR = 0.15  # what each neighbour adds to a contextual vector


def embeddings(call: ReceivedCall, seed: int, rule: FaultRule | None) -> dict[str, Any]:
    """The body of `/embeddings`, without usage. Raises Refusal."""
    texts = _inputs(call.body.get("input"))
    encoding, dimension = _encoding(call), _dimension(call)
    rows = list(enumerate(embedded(texts, dimension, seed)))
    items = _items(_spoiled(rows, rule), encoding)
    return {"object": "list", "data": items, "model": call.model}


def contextualized(call: ReceivedCall, seed: int, rule: FaultRule | None) -> dict[str, Any]:
    """The body of `/contextualizedembeddings`, without usage: each chunk's vector leans to its neighbours. Raises
    Refusal, at the limits with a message that names tokens."""
    documents = _documents(call)
    encoding, dimension = _encoding(call), _dimension(call)
    vectors = embedded([chunk for chunks in documents for chunk in chunks], dimension, seed)
    ends = np.cumsum([len(chunks) for chunks in documents])[:-1]
    rows = [list(enumerate(_in_context(part))) for part in np.split(vectors, ends)]
    longest = max(range(len(rows)), key=lambda place: len(rows[place]))
    rows[longest] = _spoiled(rows[longest], rule)
    data = [{"object": "list", "index": index, "data": _items(part, encoding)} for index, part in enumerate(rows)]
    if rule is not None and rule.kind == "reordered":
        data.reverse()
    return {"object": "list", "data": data, "model": call.model}


def _inputs(given: Any) -> list[str]:
    if isinstance(given, str) or (isinstance(given, list) and given and all(map(_is_token, given))):
        given = [given]
    if not isinstance(given, list) or not given:
        raise Refusal(400, "'input' has to be a text or a list of texts that is not empty.", param="input")
    if len(given) > _MOST_INPUTS:
        raise Refusal(400, f"'input' has {len(given)} texts, at most {_MOST_INPUTS} are taken.", param="input")
    return [_input(item) for item in given]


def _input(item: Any) -> str:
    if isinstance(item, list) and item and all(map(_is_token, item)):
        return " ".join(map(str, item))
    if not isinstance(item, str) or not item:
        raise Refusal(400, "'input' holds something that is no text, or an empty one.", param="input")
    return item


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _documents(call: ReceivedCall) -> list[list[str]]:
    name = "input" if call.dialect == "perplexity" else "inputs"
    documents = call.body.get(name)
    if not isinstance(documents, list) or not documents or not all(map(_is_document, documents)):
        raise Refusal(400, f"'{name}' has to be a list of lists of texts, none of them empty.", param=name)
    if call.body.get("enable_auto_chunking"):
        raise Refusal(400, "The fake provider does not cut texts: enable_auto_chunking is not served.")
    if call.body.get("input_type") == "query" and any(len(chunks) != 1 for chunks in documents):
        raise Refusal(400, f"With input_type 'query' each list in '{name}' holds one text.", param=name)
    most = _MOST_DOCUMENTS[call.dialect]
    if len(documents) > most:
        raise Refusal(400, f"'{name}' holds {len(documents)} documents, at most {most} are taken.", param=name)
    _check_sizes(documents)
    return documents


def _is_document(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(chunk, str) and chunk for chunk in value)


def _check_sizes(documents: Sequence[Sequence[str]]) -> None:
    chunks = sum(map(len, documents))
    if chunks > _MOST_CHUNKS:
        raise Refusal(400, f"The request holds {chunks} chunks, at most {_MOST_CHUNKS} are taken.")
    tokens = [sum(token_counts(document)) for document in documents]
    for index, count in enumerate(tokens):
        if count > _MOST_DOCUMENT_TOKENS:
            message = (
                f"Document {index} has {count} tokens, more than the model's context of {_MOST_DOCUMENT_TOKENS} tokens."
            )
            raise Refusal(400, message)
    if sum(tokens) > _MOST_TOKENS:
        message = f"The request has {sum(tokens)} tokens, at most {_MOST_TOKENS} tokens are taken in one; send fewer."
        raise Refusal(400, message)


def _dimension(call: ReceivedCall) -> int:
    asked = call.body.get("dimensions", call.body.get("output_dimension"))
    if asked is None:
        name = call.model.lower()
        return next((dimension for part, dimension in _DIMENSION_OF if part in name), _DEFAULT_DIMENSION)
    if not _is_token(asked) or not 1 <= asked <= _LARGEST_DIMENSION:
        raise Refusal(400, f"A dimension of {asked!r} is not possible.", param="dimensions")
    if call.dialect == "voyage" and asked not in _VOYAGE_DIMENSIONS:
        raise Refusal(400, f"output_dimension {asked} is none of {_VOYAGE_DIMENSIONS}.")
    return int(asked)


def _encoding(call: ReceivedCall) -> str:
    known = {
        "perplexity": ("base64_int8", "base64_binary"),
        "voyage": (None, "base64"),
    }.get(call.dialect, ("float", "base64"))
    asked = call.body.get("encoding_format", known[0])
    if asked not in known:
        raise Refusal(400, f"encoding_format {asked!r} is none of {known}.", param="encoding_format")
    if call.body.get("output_dtype") not in (None, "float"):
        raise Refusal(400, "The fake provider serves only output_dtype 'float'.")
    return str(asked or "float")


def _in_context(vectors: Vectors) -> Vectors:
    leaning = vectors.copy()
    leaning[1:] += _NEIGHBOUR * vectors[:-1]
    leaning[:-1] += _NEIGHBOUR * vectors[1:]
    return unit(leaning)


def _spoiled(rows: list[Row[Vectors]], rule: FaultRule | None) -> list[Row[Vectors]]:
    """One vector that is none, in the middle of the answer; or all of them of another dimension."""
    if rule is None or KINDS[rule.kind].group != "vectors":
        return misplaced(rows, rule)
    if rule.kind == "wrong_dimension":
        dimension = rule.dimension or max(1, len(rows[0][1]) // 2)
        return [(index, np.resize(vector, dimension)) for index, vector in rows]
    index, vector = rows[len(rows) // 2]
    spoiled = np.zeros_like(vector) if rule.kind == "zero" else vector.copy()
    if rule.kind != "zero":
        spoiled[0] = float(rule.kind)
    rows[len(rows) // 2] = (index, spoiled)
    return rows


def _items(rows: Sequence[Row[Vectors]], encoding: str) -> list[Mapping[str, Any]]:
    return [{"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)} for index, vector in rows]


def _encoded(vector: Vectors, encoding: str) -> str | list[float]:
    if encoding == "base64_binary":
        return base64.b64encode(np.packbits(vector > 0, bitorder="little").tobytes()).decode()
    if encoding == "base64_int8":
        finite = np.nan_to_num(vector, posinf=1.0, neginf=-1.0)
        scaled = np.rint(np.clip(finite / (np.abs(finite).max() or 1.0), -1, 1) * 127).astype(np.int8)
        return base64.b64encode(scaled.tobytes()).decode()
    if encoding == "base64":
        with np.errstate(over="ignore"):
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    # The digits of a float32, so that both encodings say the same; but 1e39 can be written here.
    with np.errstate(over="ignore"):
        rounded = vector.astype(np.float32).astype(np.float64)
    numbers: list[float] = np.where(np.isfinite(rounded), rounded, vector).tolist()
    return numbers
