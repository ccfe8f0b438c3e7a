"""Errors as clients see them: a code has one status, and every error says something."""

from __future__ import annotations

from collections.abc import Iterator

import services.clustering  # noqa: F401  its errors count too
from services.errors import BudgetExceeded, InvalidRequest, RaptorError, status_of


def all_errors(base: type[RaptorError] = RaptorError) -> Iterator[type[RaptorError]]:
    yield base
    for kind in base.__subclasses__():
        if kind.__module__.startswith("services"):
            yield from all_errors(kind)


def test_a_code_has_one_status_whichever_class_it_comes_from() -> None:
    statuses: dict[str, set[int]] = {}
    for kind in all_errors():
        statuses.setdefault(kind.code, set()).add(kind.status)
    assert len(statuses) > 25
    assert {code: found for code, found in statuses.items() if len(found) > 1 or not 400 <= min(found) < 600} == {}
    assert {code for code, found in statuses.items() if found == {500}} == {"internal_error", "attempts_exhausted"}


def test_every_error_has_a_message_of_its_own() -> None:
    messages = [kind.__doc__ for kind in all_errors()]
    assert all(messages)
    assert len(set(messages)) == len(messages)


def test_a_stored_error_has_the_status_of_its_code() -> None:
    assert status_of(BudgetExceeded.code) == 402
    assert status_of(InvalidRequest.code) == 422
    assert status_of("a code of another version") == 500
