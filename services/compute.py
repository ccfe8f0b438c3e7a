"""Work for the processor, off the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Compute = Callable[..., Awaitable[Any]]
"""`await compute(function, *arguments)` runs a picklable top-level function, in the process pool or at once."""
