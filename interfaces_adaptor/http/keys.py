"""Provider keys that a request brings, as form fields, JSON fields or headers."""

from __future__ import annotations

import re

from fastapi import Request
from pydantic import BaseModel, SecretStr

from services.cost.budget import Keys
from services.errors import BaseUrlNotAllowed, InvalidRequest

# The contract's names; the header is `X-BYOK-` and the rest with dashes.
FIELDS = {
    "byok_openai_api_key": "openai",
    "byok_azure_openai": "azure",
    "byok_cohere_api_key": "cohere",
    "byok_huggingface_token": "huggingface",
    "byok_dashscope_api_key": "dashscope",
    "byok_gemini_api_key": "gemini",
    "byok_voyage_api_key": "voyage",
    "byok_deepseek_api_key": "deepseek",
}
HEADERS = {f"x-{field.replace('_', '-')}": provider for field, provider in FIELDS.items()}
KEY = re.compile(r"[\x21-\x7e]+\Z")
LONGEST_KEY = 1_000
ADDRESS = re.compile(r"url|base|endpoint")


class ByokFields(BaseModel):
    """Keys that are brought: used for this request's work alone, never stored in the clear, never shown."""

    byok_openai_api_key: SecretStr | None = None
    byok_azure_openai: SecretStr | None = None
    byok_cohere_api_key: SecretStr | None = None
    byok_huggingface_token: SecretStr | None = None
    byok_dashscope_api_key: SecretStr | None = None
    byok_gemini_api_key: SecretStr | None = None
    byok_voyage_api_key: SecretStr | None = None
    byok_deepseek_api_key: SecretStr | None = None


def keys_of(request: Request, body: ByokFields | None = None) -> Keys:
    """Raises InvalidRequest for an empty key, one with other than printable ASCII, two for one provider, or a header
    that brings none that is known: the work would go on somebody else's. BaseUrlNotAllowed for an address."""
    given: dict[str, str] = {}
    for header in request.headers:
        if header.startswith("x-byok-") and header not in HEADERS:
            if ADDRESS.search(header):
                raise BaseUrlNotAllowed(field=header[:200])
            raise InvalidRequest(
                f"No key is brought by the header {header[:100]}: take one of {', '.join(HEADERS)}.", field=header[:200]
            )
    for field, provider in FIELDS.items():
        secret = getattr(body, field) if body is not None else None
        if secret is not None:
            given[provider] = checked(field, secret.get_secret_value())
    for header, provider in HEADERS.items():
        value = request.headers.get(header)
        if value is not None:
            value = checked(header, value)
            if given.setdefault(provider, value) != value:
                raise InvalidRequest(f"The header {header} and its field bring different keys.", field=header)
    return Keys(given)


async def no_empty_keys(request: Request) -> None:
    """A form's empty fields count as not sent, and work would then go on somebody else's key. Raises InvalidRequest."""
    for name, value in (await request.form()).items():
        if name in FIELDS and isinstance(value, str):
            checked(name, value)


def checked(name: str, value: str) -> str:
    """The message never repeats the key."""
    value = value.strip(" \t")
    if not value:
        raise InvalidRequest(f"`{name}` is empty: send the key, or leave it out to use the service's own.", field=name)
    if len(value) > LONGEST_KEY:
        raise InvalidRequest(f"`{name}` is no key: it has more than {LONGEST_KEY:,} characters.", field=name)
    if not KEY.match(value):
        raise InvalidRequest(
            f"`{name}` is no key: it holds a space, a line break, a control character or one that is not ASCII. Copy"
            " the key once more, without what stands around it.",
            field=name,
        )
    return value
