"""Chat completions over the OpenAI wire format: DeepSeek, Gemini, DashScope, OpenAI, Azure, Cohere, Hugging Face,
Ollama, vLLM, llama.cpp."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

import httpx2
import openai
from openai.types.chat import ChatCompletion

from constants.models import ChatSpec
from infra.providers.access import ProviderEndpoint
from infra.providers.failures import bad_answer, failure, told_by, unreachable
from infra.providers.usage import reported_tokens
from services.cost.usage import Usage
from services.errors import ProviderError
from services.models.chat import ChatAnswer, ChatRequest
from utils.tokens import estimate_tokens

logger = logging.getLogger(__name__)

# Parameters that a model may refuse although the registry says otherwise: dropped at the first refusal, and not sent to
# that model again by this process.
OPTIONAL = (
    "temperature",
    "seed",
    "response_format",
    "stream_options",
    "max_completion_tokens",
    "max_tokens",
    "extra_body",
)
SEED = 224
REASONS: dict[str, Literal["stop", "length", "refused"]] = {"length": "length", "content_filter": "refused"}

_refused: dict[str, set[str]] = {}


class OpenAICompatibleChat:
    def __init__(self, spec: ChatSpec, access: ProviderEndpoint, http: httpx2.AsyncClient) -> None:
        self.provider = spec.provider
        self.model = spec.model
        self.concurrency = spec.concurrency
        self._spec = spec
        self._key = access.key
        # Key and address are always given: without them the SDK takes the operator's from the environment.
        self._client = openai.AsyncOpenAI(
            api_key=access.key, base_url=access.base_url, max_retries=0, http_client=http, organization="", project=""
        )

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        completion = await self._sent(request, stream=False)
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise bad_answer(self.provider, self.model, "no completion in it")
        choice = completion.choices[0]
        text = choice.message.content or ""
        refusal = getattr(choice.message, "refusal", None) or choice.finish_reason == "content_filter"
        reason = "content_filter" if refusal else choice.finish_reason
        written = text or getattr(choice.message, "refusal", None) or ""
        return ChatAnswer(text, REASONS.get(reason, "stop"), self._usage(completion.usage, request, written))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        stream = await self._sent(request, stream=True)
        text, finish, refused, usage = "", "", False, None
        try:
            async for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices[:1]:
                    refused = refused or bool(getattr(choice.delta, "refusal", None))
                    finish = choice.finish_reason or finish
                    part = choice.delta.content or ""
                    text += part
                    if part:
                        yield part
        except (openai.APIError, httpx2.HTTPError, ValueError, TypeError, AttributeError) as error:
            raise self._typed(error) from None
        finally:
            await stream.close()
        if not finish:
            # Some servers close the connection properly when they break off, which no transport notices.
            raise bad_answer(self.provider, self.model, "a stream that ends before the answer does")
        reason = "refused" if refused else REASONS.get(finish, "stop")
        yield ChatAnswer(text, reason, self._usage(usage, request, text))

    async def _sent(self, request: ChatRequest, *, stream: bool) -> Any:
        for last in (*[False] * len(OPTIONAL), True):
            body = self._body(request, stream=stream)
            try:
                return await self._client.chat.completions.create(**body)
            except openai.BadRequestError as error:
                name = named_parameter(error, body)
                if name is None or last:
                    raise self._typed(error) from None
                _refused.setdefault(self._spec.name, set()).add(name)
                logger.warning(
                    "model refuses a parameter, it is left out", extra={"model": self._spec.name, "parameter": name}
                )
            except (openai.APIError, httpx2.HTTPError, ValueError) as error:
                raise self._typed(error) from None
        raise AssertionError("unreachable")

    def _body(self, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
        spec = self._spec
        body: dict[str, Any] = {
            "model": spec.model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            spec.max_tokens_field: request.max_tokens,
        }
        if spec.temperature == "any":
            body["temperature"] = request.temperature
        if spec.seed and not stream:
            body["seed"] = SEED
        if request.json and spec.json != "none":
            body["response_format"] = {"type": "json_object"}
        if spec.body:
            body["extra_body"] = dict(spec.body)
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        for name in _refused.get(spec.name, ()):
            if name in ("max_tokens", "max_completion_tokens") and name in body:
                other = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
                body[other] = body.pop(name)
            body.pop(name, None)
        return body

    def _usage(self, usage: Any, request: ChatRequest, text: str) -> Usage:
        """What the provider says; what it keeps to itself, or tells as 0 though there was text, is counted here:
        local servers leave `usage` out, or tell 0 tokens of a prompt that they have in their cache."""
        details = getattr(usage, "prompt_tokens_details", None)
        cached = reported_tokens(details, "cached_tokens") or reported_tokens(usage, "prompt_cache_hit_tokens")
        prompt, output = reported_tokens(usage, "prompt_tokens"), reported_tokens(usage, "completion_tokens")
        untold = not prompt or (not output and bool(text))
        prompt = prompt or estimate_tokens(request.system) + estimate_tokens(request.user)
        output = output or estimate_tokens(text)
        cached = min(cached, prompt)
        return Usage(
            calls=1,
            input_tokens=prompt,
            output_tokens=output,
            cached_tokens=cached,
            cost=self._spec.price.of(prompt, output, cached),
            counted_here=int(untold),
        )

    def _typed(self, error: Exception) -> ProviderError:
        return typed(error, self.provider, self.model, self._key)


def typed(error: Exception, provider: str, model: str, key: str) -> ProviderError:
    """The SDK's errors, and what falls through it, as ours; raised without their cause, whose message may repeat the
    key."""
    if isinstance(error, openai.APIStatusError):
        return failure(provider, model, error.status_code, error.body, dict(error.response.headers), key)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return unreachable(provider, model, "time is up")
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        return unreachable(provider, model, type(error.__cause__ or error).__name__)
    return bad_answer(provider, model, type(error).__name__)


def named_parameter(error: openai.BadRequestError, body: Mapping[str, Any]) -> str | None:
    """The optional parameter of ours that a 400 complains of, if it is one that we sent."""
    param = error.body.get("param") if isinstance(error.body, Mapping) else None
    _, message = told_by(error.body)
    for name in OPTIONAL:
        if name in body and (param == name or re.search(rf"[`'\"]{name}[`'\"]", message)):
            return name
    extra = body.get("extra_body") or {}
    mentioned = any(param == name or re.search(rf"\b{name}\b", message) for name in extra)
    return "extra_body" if mentioned else None
