"""Chat models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from services.cost.usage import Usage


def finished(answer: ChatAnswer) -> bool:
    """What broke off or was refused may come out well the next time."""
    return answer.finish_reason == "stop" and bool(answer.text.strip())


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a chat model: `system` instructs, `user` holds the data. `purpose` names the kind of work in the
    ledger; an answer that was paid for is found again unless it is not `reusable`. Only one that is `usable` for who
    asks is kept: what is of no use is paid, and asked for again the next time. `sources` are the versions of documents
    whose text is in `user`: what is kept is erased with them."""

    purpose: str
    system: str
    user: str
    max_tokens: int
    temperature: float = 0.0
    json: bool = False
    reusable: bool = True
    usable: Callable[[ChatAnswer], bool] = finished
    sources: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    text: str
    finish_reason: Literal["stop", "length", "refused"]
    usage: Usage


class ChatModel(Protocol):
    provider: str
    model: str
    concurrency: int

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Raises ProviderError, BudgetExceeded."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        """The answer's text as it comes, and at the end the whole of it; never from the store of paid results, and not
        kept there. The caller may close early: this cancels the call. Raises ProviderError, BudgetExceeded."""
        ...
