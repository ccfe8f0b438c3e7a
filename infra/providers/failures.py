"""What the providers' errors mean, whichever SDK they come from. Messages of providers are cleaned before they are
passed on: some repeat the key that was rejected, or the text that was sent."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from services.errors import (
    ContextTooLong,
    ProviderBadAnswer,
    ProviderError,
    ProviderKeyRefused,
    ProviderModelNotFound,
    ProviderOutOfQuota,
    ProviderRateLimited,
    ProviderRefused,
)

TOO_LONG = re.compile(
    r"context.{0,10}length|maximum context|too many tokens|token limit|tokens.{0,40}(exceed|more than|too long)"
    r"|(exceed|longer than).{0,40}tokens|max(imum)?.{0,20}tokens per",
    re.IGNORECASE,
)
NO_MODEL = re.compile(r"model.{0,80}(not exist|not found)", re.IGNORECASE)
# Messages of providers share no more with a text by chance than "is not supported by".
REPEATED = 24
QUOTED = re.compile(r"[\"'`“‘«](\w[^\"'`“”‘’«»]{2,})[\"'`”’»]")
OUT_OF_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "quota_exceeded", "insufficient_balance"}


def failure(
    provider: str, model: str, status: int, body: Any, headers: Mapping[str, str], key: str = ""
) -> ProviderError:
    """The typed error for a failed response."""
    code, message = told_by(body)
    details: dict[str, Any] = {"provider": provider, "model": model, "status": status}
    if code:
        details["provider_code"] = cleaned(code, key)[:100]
    if message and status not in (401, 403):
        details["provider_message"] = cleaned(message, key)
    if status == 402 or code in OUT_OF_QUOTA or (status == 429 and "insufficient_quota" in message):
        return ProviderOutOfQuota(**details)
    if status in (401, 403):
        return ProviderKeyRefused(**details)
    if status == 404 or code == "model_not_found" or NO_MODEL.search(message):
        return ProviderModelNotFound(**details)
    if status == 429:
        return ProviderRateLimited(retry_after_s=retry_after(headers), **details)
    if status in (400, 413, 422) and (code == "context_length_exceeded" or TOO_LONG.search(message)):
        return ContextTooLong(**details)
    if status in (408, 409, 425) or status >= 500:
        text = f"{provider} still responds with HTTP {status} after all retries. Retrying the job continues from here."
        return ProviderError(text, retry_after_s=retry_after(headers), **details)
    return ProviderRefused(**details)


def bad_answer(provider: str, model: str, what: str) -> ProviderBadAnswer:
    return ProviderBadAnswer(f"{provider} sent an invalid response: {what}.", provider=provider, model=model)


def unreachable(provider: str, model: str, what: str) -> ProviderError:
    return ProviderError(f"{provider} does not answer ({what}).", provider=provider, model=model)


def told_by(body: Any) -> tuple[str, str]:
    """Code and message, in any of the shapes that providers use."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]  # Gemini's form
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        code = error.get("code") or error.get("type") or ""
        return str(code), str(error.get("message") or error.get("detail") or "")
    return "", str(error or "")


def cleaned(message: str, key: str) -> str:
    text = message.replace(key, "[key]") if key else message
    return re.sub(r"[\w-]*\*{3,}[\w-]*", "[key]", text)[:300]


def without_quotes(error: ProviderError, sent: Iterable[str]) -> ProviderError:
    """The error without a provider's message that repeats a part of what was sent: jobs and logs keep it, and would
    still have the text when its document is erased."""
    message = error.details.get("provider_message", "")
    if message and repeats(message, "\n".join(sent)):
        error.details["provider_message"] = "[left out: it repeats what was sent]"
    return error


def repeats(message: str, sent: str) -> bool:
    """Whether a run of characters of the message, or what it has in quotation marks, stands in the text."""
    said, known = (re.sub(r"\s+", " ", text).casefold() for text in (message, sent))
    runs = (said[at : at + REPEATED] for at in range(len(said) - REPEATED + 1))
    return any(run in known for run in runs) or any(quoted.strip(" .,…") in known for quoted in QUOTED.findall(said))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header; None where there is none or it says nothing."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
