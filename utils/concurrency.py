"""Running several things at once without leaving any behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar, cast

First = TypeVar("First")
Second = TypeVar("Second")


async def both(first: Awaitable[First], second: Awaitable[Second]) -> tuple[First, Second]:
    """Both results. If one fails the other is cancelled and awaited, and that failure is raised as it is: `gather`
    would leave the other running, a TaskGroup would wrap the error in a group."""
    done = await together(first, second)
    return cast(First, done[0]), cast(Second, done[1])


async def together(*parts: Awaitable[object]) -> list[object]:
    """Results in order; the first failure ends all."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
