"""Compilation of the inner loops to machine code, when they are first called."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be regrouped into lanes, nothing else of fast-math. A loop that stores is compiled twice, for arrays that may
# overlap and for those that do not, and chooses by their addresses: summing in such a loop would round differently from
# call to call. So: a loop that sums never stores. (Seen: one layout in a hundred differed in its last bits.)
FAST_MATH = {"reassoc", "nsz", "arcp"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles `function` for one thread; whatever compiled code it calls has to be in its own file.

    The machine code is kept beside the source or in the user's cache folder (numba notices when the file changes),
    so that a fresh worker process loads it in a fraction of the seconds that compiling takes. Where neither place can
    be written to, every process compiles for itself.
    """
    try:
        loop = njit(function, fastmath=FAST_MATH, error_model="numpy", nogil=True, cache=True)
    except RuntimeError:
        loop = njit(function, fastmath=FAST_MATH, error_model="numpy", nogil=True)
    return cast(Callable[P, R], loop)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles `function` into the body of each compiled caller in its file.

    As a call of its own, a loop over a few lanes spends five times its work on finding out whether its arguments
    overlap.
    """
    loop = njit(function, fastmath=FAST_MATH, error_model="numpy", nogil=True, inline="always")
    return cast(Callable[P, R], loop)
