"""`.env.example` names every setting, and none that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic_settings import BaseSettings

from app.settings import Settings

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"
# Read by commands, not by the service.
OF_COMMANDS = {"RAPTOR_URL", "RAPTOR_API_KEY"}


def names_of(group: type[BaseSettings]) -> Iterator[str]:
    for name, field in group.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseSettings):
            yield from names_of(inner)
        elif isinstance(field.validation_alias, str):
            yield field.validation_alias
        else:
            yield f"{group.model_config.get('env_prefix', '')}{name}".upper()


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    shown = set(re.findall(r"^#?([A-Z][A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown - OF_COMMANDS == set(names_of(Settings))
