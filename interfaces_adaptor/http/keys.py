"""Provider keys that a request carries, as form fields, JSON fields or headers."""

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
    """The caller's own provider keys: used only for this request's work, never stored unencrypted, never shown."""

    byok_openai_api_key: SecretStr | None = None
    byok_azure_openai: SecretStr | None = None
    byok_cohere_api_key: SecretStr | None = None
    byok_huggingface_token: SecretStr | None = None
    byok_dashscope_api_key: SecretStr | None = None
    byok_gemini_api_key: SecretStr | None = None
    byok_voyage_api_key: SecretStr | None = None
    byok_deepseek_api_key: SecretStr | None = None


def keys_of(request: Request, body: ByokFields | None = None) -> Keys:
    """Raises InvalidRequest for an empty key, one that is not printable ASCII, two for one provider, or an unknown key
    header: otherwise the work would run on somebody else's key. BaseUrlNotAllowed for an address."""
    given: dict[str, str] = {}
    for header in request.headers:
        if header.startswith("x-byok-") and header not in HEADERS:
            if ADDRESS.search(header):
                raise BaseUrlNotAllowed(field=header[:200])
            raise InvalidRequest(
                f"Unknown key header {header[:100]}: use one of {', '.join(HEADERS)}.", field=header[:200]
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
                raise InvalidRequest(f"The header {header} and its field contain different keys.", field=header)
    return Keys(given)


async def no_empty_keys(request: Request) -> None:
    """Empty form fields count as not sent; the work would then run on another key. Raises InvalidRequest."""
    for name, value in (await request.form()).items():
        if name in FIELDS and isinstance(value, str):
            checked(name, value)


def checked(name: str, value: str) -> str:
    """The message never repeats the key."""
    value = value.strip(" \t")
    if not value:
        raise InvalidRequest(
            f"`{name}` is empty: send a key, or leave the field out to use the service's own.", field=name
        )
    if len(value) > LONGEST_KEY:
        raise InvalidRequest(f"`{name}` is not a key: it has more than {LONGEST_KEY:,} characters.", field=name)
    if not KEY.match(value):
        raise InvalidRequest(
            f"`{name}` is not a key: it contains a space, a line break, a control character or a non-ASCII character."
            " Copy only the key itself.",
            field=name,
        )
    return value
