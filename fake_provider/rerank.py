"""Reranking by the share of the question's words that a document has, in four dialects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fake_provider.calls import ReceivedCall
from fake_provider.faults import FaultRule
from fake_provider.refusals import Refusal
from fake_provider.rows import Row, misplaced
from fake_provider.words import content_words, words

_MOST_DOCUMENTS = 1000


def rerank(call: ReceivedCall, rule: FaultRule | None) -> Any:
    """The body of `/rerank`, best document first: a list from TEI, else an object with `data` (Voyage) or `results`;
    without usage. Raises Refusal."""
    query, documents = _query(call), _documents(call)
    scores = relevance(query, documents)
    best = sorted(enumerate(scores), key=lambda row: (-row[1], row[0]))
    rows = misplaced(best[: _most(call, len(best))], rule)
    if call.dialect == "tei":
        with_text = bool(call.body.get("return_text"))
        return [
            {"index": index, "score": score, **({"text": _text(documents, index)} if with_text else {})}
            for index, score in rows
        ]
    results = _results(call, rows, documents)
    if call.dialect == "voyage":
        return {"object": "list", "data": results, "model": call.model}
    if call.dialect == "cohere":
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": math.ceil(len(documents) / 100)}}
        return {"id": f"rerank-{call.digest}", "results": results, "meta": meta}
    return {"id": f"rerank-{call.digest}", "object": "list", "model": call.model, "results": results}


def relevance(query: str, documents: Sequence[str]) -> list[float]:
    """For each document, 0 to 1: the share of the question's words that it has, rare ones weighing more, and a little
    for being short."""
    asked = dict.fromkeys(content_words(query)).keys()
    terms = [set(words(document)) for document in documents]
    frequency = Counter(term for found in terms for term in asked if term in found)
    weight = {term: math.log(1 + len(documents) / (1 + frequency[term])) + 0.1 for term in asked}
    whole = sum(weight.values()) or 1.0
    scores = []
    for found in terms:
        shared = sum(weight[term] for term in asked if term in found)
        density = len(found & asked) / len(found | asked) if found | asked else 0.0
        scores.append(round(0.9 * shared / whole + 0.1 * density, 6))
    return scores


def _query(call: ReceivedCall) -> str:
    query = call.body.get("query")
    if not isinstance(query, str) or not query:
        raise Refusal(400, "'query' has to be a text.", param="query")
    return query


def _documents(call: ReceivedCall) -> list[str]:
    name = "texts" if call.dialect == "tei" else "documents"
    given = call.body.get(name)
    if not isinstance(given, list) or not given:
        raise Refusal(400, f"'{name}' has to be a list of texts that is not empty.", param=name)
    if len(given) > _MOST_DOCUMENTS:
        raise Refusal(400, f"'{name}' has {len(given)} texts, at most {_MOST_DOCUMENTS} are taken.", param=name)
    return [_document(item, name) for item in given]


def _document(item: Any, name: str) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise Refusal(400, f"'{name}' holds something that is no text.", param=name)
    return text


def _most(call: ReceivedCall, available: int) -> int:
    asked = call.body.get("top_k" if call.dialect == "voyage" else "top_n")
    if asked is None:
        return available
    if not isinstance(asked, int) or asked < 1:
        raise Refusal(400, "The number of results has to be at least 1.")
    return asked


def _results(call: ReceivedCall, rows: Sequence[Row[float]], documents: Sequence[str]) -> list[dict[str, Any]]:
    with_documents = bool(call.body.get("return_documents")) and call.dialect != "cohere"
    results: list[dict[str, Any]] = []
    for index, score in rows:
        result: dict[str, Any] = {"index": index, "relevance_score": score}
        if with_documents:
            text = _text(documents, index)
            result["document"] = text if call.dialect == "voyage" else {"text": text}
        results.append(result)
    return results


def _text(documents: Sequence[str], index: int) -> str:
    return documents[index] if index < len(documents) else ""
