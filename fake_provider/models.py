"""What single models refuse, where the real ones are known for it. Any other model id is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fake_provider.calls import ReceivedCall
from fake_provider.refusals import Refusal

_UNKNOWN = "no-such-model"
_RETIRED = frozenset({"deepseek-chat", "deepseek-reasoner"})
# Reasoning models that take no temperature but 1; dated ids are theirs too.
_REASONING = re.compile(r"(?:.*/)?gpt-5(?:-mini|-nano)?(?:-\d{4}-\d{2}-\d{2})?")


def check_model(call: ReceivedCall) -> None:
    """Raises Refusal for a model that is missing, unknown or retired. TEI serves one model and names none."""
    if not call.model and call.dialect != "tei":
        raise Refusal(400, "You must provide a model parameter.", param="model")
    if call.model in _RETIRED and call.dialect == "deepseek":
        raise Refusal(400, "Model Not Exist", code="invalid_request_error")
    if call.model == _UNKNOWN or call.model in _RETIRED:
        raise no_such_model(call.model)


def no_such_model(model: str) -> Refusal:
    return Refusal(404, f"The model '{model}' does not exist or this key has no access to it.", param="model")


def check_parameters(call: ReceivedCall) -> None:
    """Raises Refusal, 400, for a parameter that this chat model does not take; the message names it."""
    body = call.body
    if _REASONING.fullmatch(call.model):
        if body.get("temperature", 1) != 1:
            message = (
                f"Unsupported value: 'temperature' does not support {body['temperature']} with this model, only 1."
            )
            raise Refusal(400, message, code="unsupported_value", param="temperature")
        if "max_tokens" in body:
            raise unsupported_parameter("max_tokens", "Use 'max_completion_tokens' instead.")
    for part, param in (("no-seed", "seed"), ("no-json", "response_format")):
        if part in call.model and body.get(param) is not None:
            raise unsupported_parameter(param)
    if call.dialect == "deepseek" and _format(body) == "json_schema":
        raise Refusal(400, "This response_format type is unavailable now")  # as it is: without the parameter's name


def unsupported_parameter(param: str, advice: str = "") -> Refusal:
    message = f"Unsupported parameter: '{param}' is not supported with this model. {advice}"
    return Refusal(400, message.rstrip(), code="unsupported_parameter", param=param)


def thinks(call: ReceivedCall) -> bool:
    """DeepSeek's models do unless they are told not to."""
    thinking = call.body.get("thinking")
    disabled = isinstance(thinking, Mapping) and thinking.get("type") == "disabled"
    return call.model.startswith("deepseek-") and not disabled


def wants_json(body: Mapping[str, Any]) -> bool:
    return _format(body) in ("json_object", "json_schema")


def _format(body: Mapping[str, Any]) -> str:
    asked = body.get("response_format")
    return str(asked.get("type")) if isinstance(asked, Mapping) else ""
