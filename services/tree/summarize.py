"""Summaries by a chat model: asked for, checked, asked for once more, and if need be written without one.

A bad answer never ends a build: after its retries the node is written by the extractive summariser, marked with the
reason, and can be mended later.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence

from constants.prompts import SUMMARY, marked
from services.cost.usage import Usage
from services.errors import (
    BudgetExceeded,
    ContextTooLong,
    ProviderBadAnswer,
    ProviderError,
    ProviderRateLimited,
    ProviderUnusable,
)
from services.models.chat import ChatAnswer, ChatModel, ChatRequest
from services.models.summary import Summarizer, Summary, SummaryRequest
from services.text.grounding import repeats_itself, unsupported
from services.text.key_phrases import shortened
from utils.tokens import estimate_tokens, truncate_to_tokens

logger = logging.getLogger(__name__)

WORDS_A_TOKEN = 0.7
# Room beside the summary for its title and for an estimate that is short.
OUTPUT_SLACK = 1.6
# A summary of so many times the wanted tokens is none. Our count of Russian is twice the real one: with 2 here, 141 of
# 208 Russian summaries that kept to their limit were refused.
FAR_LONGER = 4
REFUSAL = re.compile(
    r"^(?:i'?m sorry|i am sorry|sorry,|i can(?:no|')t|i am unable|as an ai\b|抱歉|对不起|xin lỗi)", re.IGNORECASE
)


class UnusableSummary(ProviderBadAnswer):
    """The model's answer is no summary."""

    retryable = False


class ChatSummarizer:
    """`fallback` writes what the model cannot; without it a node that fails makes its build fail."""

    def __init__(self, model: ChatModel, fallback: Summarizer | None) -> None:
        self.name = f"{model.provider}/{model.model}"
        self.concurrency = model.concurrency
        self._model = model
        self._fallback = fallback

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Raises BudgetExceeded, and ProviderError where there is no fallback or another node would fare no better: the
        key is refused or limited, the model is not there."""
        usage = Usage()
        try:
            summary = await self._asked(request, "")
            usage += summary.usage
            claims = unsupported(summary.text, request.texts)
            if claims:
                again = await self._asked(request, CORRECTION.format(claims="; ".join(claims[:20])))
                usage += again.usage
                left = unsupported(again.text, request.texts)
                if len(left) < len(claims):
                    summary, claims = again, left
            meta = {**summary.meta, **({"unsupported": list(claims[:50])} if claims else {})}
            return Summary(summary.titles, summary.text, meta, usage)
        except (BudgetExceeded, ProviderUnusable, ProviderRateLimited):
            raise
        except ProviderError as error:
            if self._fallback is None:
                raise
            logger.warning("a summary is written without its model", extra={"error": error.as_json()})
            written = await self._fallback.summarize(request)
            reason = {"code": error.code, "message": error.message}
            return Summary(written.titles, written.text, {**written.meta, "reason": reason}, usage)

    async def _asked(self, request: SummaryRequest, correction: str) -> Summary:
        """One usable answer; a second request is made where the first is not one.

        Raises UnusableSummary, ProviderError."""
        budget = request.token_budget
        usage = Usage()
        for last in (False, True):
            texts = fitted(request.texts, budget)
            prompt = prompt_of(request, texts, correction if not last else correction + INSIST)
            try:
                answer = await self._model.complete(prompt)
            except ContextTooLong:
                if last:
                    raise
                budget //= 2
                continue
            usage += answer.usage
            try:
                titles, text = parsed(answer, request)
            except UnusableSummary:
                if last:
                    raise
                continue
            meta = {"summary_kind": "abstractive", "model": self.name}
            cut = sum(len(part) < len(whole) for part, whole in zip(texts, request.texts, strict=True))
            return Summary(titles, text, meta | ({"truncated_passages": cut} if cut else {}), usage)
        raise AssertionError("unreachable")


INSIST = "\n\nWrite the title line, an empty line and the summary, and nothing else."
CORRECTION = (
    "\n\nAn earlier attempt said things that the passages do not say: {claims}. Leave them out, or write them exactly"
    " as the passages do."
)


def prompt_of(request: SummaryRequest, texts: Sequence[str], note: str) -> ChatRequest:
    """`texts` are those of the request, as much of each as fits."""
    # Drawn from all texts together: no text can know the mark that closes it, and the same group asks the same.
    mark = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    passages = [
        marked("passage", mark, number, text, clean(" > ".join(path)))
        for number, (text, path) in enumerate(zip(texts, request.heading_paths, strict=True), 1)
    ]
    return ChatRequest(
        purpose="summary",
        system=instructions(request.max_tokens),
        user="\n\n".join(passages) + note,
        max_tokens=int(request.max_tokens * OUTPUT_SLACK) + 40,
        usable=lambda answer: is_summary(answer, request),
        sources=request.sources,
    )


def instructions(max_tokens: int) -> str:
    """The system message for summaries of at most so many tokens."""
    return SUMMARY.system.format(max_words=max(20, int(max_tokens * WORDS_A_TOKEN)))


def fitted(texts: tuple[str, ...], token_budget: int) -> list[str]:
    """The texts within the budget: the longest are cut first, all to the same length."""
    sizes = [estimate_tokens(text) for text in texts]
    if sum(sizes) <= token_budget:
        return list(texts)
    left, open_texts = token_budget, len(sizes)
    for size in sorted(sizes):
        if size * open_texts > left:
            break
        left -= size
        open_texts -= 1
    longest = max(1, left // max(1, open_texts))
    return [
        text if size <= longest else truncate_to_tokens(text, longest) for text, size in zip(texts, sizes, strict=True)
    ]


def clean(title: str) -> str:
    return re.sub(r'["<>\s]+', " ", title)[:200].strip()


def is_summary(answer: ChatAnswer, request: SummaryRequest) -> bool:
    try:
        parsed(answer, request)
    except UnusableSummary:
        return False
    return True


def parsed(answer: ChatAnswer, request: SummaryRequest) -> tuple[tuple[str, ...], str]:
    """Title and summary. Raises UnusableSummary for an answer that has another form, or is empty, refused, broken
    off or circular."""
    if answer.finish_reason == "refused" or REFUSAL.match(answer.text.strip()):
        raise UnusableSummary("The model refused to summarise.")
    if answer.finish_reason == "length":
        raise UnusableSummary("The summary broke off.")
    head, _, rest = answer.text.strip().partition("\n")
    title, text = re.sub(r"^(?:#+|title:)\s*", "", head.strip(), flags=re.IGNORECASE).strip("*\"'“”.: "), rest.strip()
    if not text:
        # One paragraph: a summary without its title line, which then is made of its beginning.
        title, text = head.strip(), head.strip()
    if not text or not any(letter.isalnum() for letter in text):
        raise UnusableSummary("The model answered nothing.")
    if repeats_itself(text):
        raise UnusableSummary("The model's answer repeats itself.")
    if estimate_tokens(text) > max(FAR_LONGER * request.max_tokens, 64):
        raise UnusableSummary("The summary is far longer than it was to be.")
    return (shortened(title) or shortened(text),), text
