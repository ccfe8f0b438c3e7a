"""What is asked of the fake provider: bodies, and what is read out of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np

from constants.prompts import SUMMARY, marked

Asked = Callable[..., httpx2.Response]

PASSAGES = [
    "# The ship\n\nThe Brindle Tern has 4 masts. She was built in Riga in 1904. Nobody knows who drew her plans.",
    "Her engine is called Agnes. It needs 12 litres an hour. See https://example.org/agnes for the manual.",
    "The cook is Mr. Abara. Breakfast is at 7:30 and nobody waits.",
]
CHAT_PATHS = {
    "/chat/completions": "deepseek-v4-flash",
    "/v1beta/openai/chat/completions": "gemini-3.8-flash",
    "/compatible-mode/v1/chat/completions": "qwen3.8-flash",
    "/v1/chat/completions": "gpt-6-luna",
    "/openai/v1/chat/completions": "my-deployment",
    "/compatibility/v1/chat/completions": "command-a-03-2025",
}


def messages(system: str, user: str) -> list[Any]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def chat_body(user: str = "hello", system: str = "Be brief.", model: str = "any", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": messages(system, user), **more}


def said(answer: httpx2.Response) -> str:
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


def elements(tag: str, texts: list[str], mark: str = "f00dcafe", note: str = "") -> str:
    return "\n".join(marked(tag, mark, number, text, note) for number, text in enumerate(texts, start=1))


def summary_body(texts: list[str], max_words: int = 60, mark: str = "f00dcafe") -> dict[str, Any]:
    system = SUMMARY.system.replace("{max_words}", str(max_words))
    return chat_body(elements("passage", texts, mark, note="Guide > Install"), system)


def cosine(one: Any, other: Any) -> float:
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def vectors_of(answer: httpx2.Response) -> list[list[float]]:
    return [item["embedding"] for item in answer.raise_for_status().json()["data"]]
