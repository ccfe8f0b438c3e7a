"""Answers to questions: as one JSON document, or as a stream of events while the answer is written.

Events, in this order: `retrieval` (the sources), then `delta` (text) and `citation` (a complete statement with its
citations) as they come, `usage`, and `done` (the whole answer). An `error` can end the stream at any point.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request

from interfaces_adaptor.http.dependencies import ServicesOf, TenantOf
from interfaces_adaptor.http.fields import checked_dataset_id
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.retrieval import checked_query, filters_from
from interfaces_adaptor.http.schemas.answer import AnswerBody, AnswerOut, FoundOut, StatementOut, WholeAnswerOut
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.streaming import NDJSON, SSE, NamedEvent, stream_of, unless_hung_up, wanted_type
from services.cost.budget import Budget
from services.retrieval.answer import Answered, Cited, Delta, Event, Evidence, Question
from services.retrieval.query import Query

router = APIRouter(prefix="/v1", tags=["retrieval"])


@router.post(
    "/answer",
    response_model=Envelope[WholeAnswerOut],
    responses={200: {"content": {SSE: {"schema": {"type": "string"}}, NDJSON: {"schema": {"type": "string"}}}}},
    summary="Answer a question with citations",
)
async def answer(
    request: Request,
    services: ServicesOf,
    tenant: TenantOf,
    body: AnswerBody,
    accept: Annotated[str, Header(description="application/json, text/event-stream or application/x-ndjson")] = "",
    x_dataset_id: Annotated[str | None, Header()] = None,
) -> Any:
    began = time.perf_counter()
    question = question_of(request, body, x_dataset_id)
    kind = wanted_type(accept)
    events = services.answerer.answer(tenant, question)
    if kind in (SSE, NDJSON):
        return await stream_of(request, named(events, began), kind)
    return Envelope(data=await unless_hung_up(request.receive, whole(events, began)))


def question_of(request: Request, body: AnswerBody, x_dataset_id: str | None) -> Question:
    options: dict[str, Any] = {} if body.mode is None else {"mode": body.mode}
    return Question(
        query=Query(
            dataset_id=checked_dataset_id(body.dataset_id, body.database_id, x_dataset_id),
            text=checked_query(body.query),
            top_k=body.top_k,
            max_tokens=body.max_tokens,
            filters=filters_from(body.filters),
            hybrid=body.hybrid,
            reranker=body.reranker,
            keys=keys_of(request, body),
            **options,
        ),
        llm=body.llm,
        max_output_tokens=body.max_output_tokens,
        budget=Budget(max_cost=body.max_cost, max_calls=body.max_calls),
    )


async def named(events: AsyncGenerator[Event, None], began: float) -> AsyncGenerator[NamedEvent, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Evidence):
                yield "retrieval", FoundOut.of(event).model_dump(mode="json")
            elif isinstance(event, Delta):
                yield "delta", {"text": event.text}
            elif isinstance(event, Cited):
                yield "citation", StatementOut.of(event.index, event.statement).model_dump(mode="json")
            else:
                yield "usage", asdict(event.usage)
                yield "done", {**AnswerOut.of(event).model_dump(mode="json"), "took_ms": took_ms(began)}


async def whole(events: AsyncGenerator[Event, None], began: float) -> WholeAnswerOut:
    found: Evidence | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Evidence):
                found = event
            elif isinstance(event, Answered):
                assert found is not None
                return WholeAnswerOut(
                    **FoundOut.of(found).model_dump(),
                    **AnswerOut.of(event).model_dump(),
                    usage=asdict(event.usage),
                    took_ms=took_ms(began),
                )
    raise AssertionError("an answer ends with `Answered`, or an error")


def took_ms(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 2)
