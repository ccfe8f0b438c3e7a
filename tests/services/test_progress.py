"""How far a build is: the share that a job shows."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.tree.figures import share_done


@st.composite
def level_sizes(draw: st.DrawFn) -> list[int]:
    """Leaves, and levels above them of which none has more than half of the nodes below."""
    sizes = [draw(st.integers(2, 100_000))]
    while sizes[-1] > 1:
        sizes.append(draw(st.integers(1, sizes[-1] // 2)))
    return sizes


@given(level_sizes())
def test_the_share_done_never_falls_and_ends_below_the_whole(sizes: list[int]) -> None:
    known = {0: sizes[0]}
    shown = [0.0]
    for level in range(1, len(sizes)):
        shown.append(share_done(known, level, 0.0))  # the level is clustered
        known[level] = sizes[level]
        shown += [share_done(known, level, share) for share in (0.0, 0.4, 1.0)]
    assert all(after >= before - 1e-12 for before, after in pairwise(shown))
    assert 0 < shown[-1] < 1
