"""What providers say is passed on, unless it repeats what they were sent."""

from __future__ import annotations

import pytest

from infra.providers.failures import failure, without_quotes

SENT = "# Doors\n\nThe quillback vault opens\nat zarvelminster. Its door is of oak. 蓝色的门在山里。"


def told(message: str) -> str:
    error = failure("deepseek", "chat", 400, {"error": {"message": message}}, {})
    return str(without_quotes(error, [SENT, "another text"]).details["provider_message"])


@pytest.mark.parametrize(
    "message",
    [
        "Content exists risk: the QUILLBACK vault opens at zarvelminster",
        "Invalid value near 'zarvelminster.'",
        "The word “quillback” is not allowed",
        "敏感内容：“蓝色的门”",
    ],
)
def test_a_message_that_repeats_the_text_is_left_out(message: str) -> None:
    assert told(message) == "[left out: it repeats what was sent]"


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "The door is closed: your balance is 0.",
        "Don't retry, it won't help",
    ],
)
def test_any_other_message_is_passed_on(message: str) -> None:
    assert told(message) == message
