"""Logs: one line an event for machines, and no secret in any."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.logs import written_log

SECRETS = [
    "rpt_0a1b2c3d_abcdefghijklmnop",
    "sk-proj-abcdefgh12345678",
    "AIzaSyabcdefgh12345678",
    "hf_abcdefgh12345678",
    "pa-abcdefgh12345678",
]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    with written_log(tmp_path) as path:
        yield path


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_in_no_line_however_deep_it_stands(log: Path, secret: str) -> None:
    structlog.get_logger("ours").info(f"said {secret}", key=secret, deep={"headers": [f"Bearer {secret}", (secret,)]})
    logging.getLogger("theirs").warning("header Authorization: Bearer %s", secret, extra={"body": {"key": secret}})
    try:
        raise ValueError(f"the key {secret} is wrong")
    except ValueError:
        logging.getLogger("theirs").exception("it failed")
    written = log.read_text(encoding="utf-8")
    assert secret[-10:] not in written
    assert written.count("[redacted]") >= 6


def test_a_line_carries_what_it_is_about(log: Path) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logging.getLogger("theirs").info("done", extra={"took_ms": 3})
    line = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert (line["event"], line["request_id"], line["took_ms"], line["level"]) == ("done", "r-1", 3, "info")
    assert line["timestamp"].endswith("Z")
