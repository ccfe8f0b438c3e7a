"""What a grouper takes and what it gives: the nodes of one level, and the groups that become the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.arrays import IntArray
from services.clustering.matrix import Matrix
from services.errors import RaptorError

Compute = Callable[..., Awaitable[Any]]
"""`await compute(function, *args)` runs a picklable top-level function, in the process pool or at once."""


class InvalidVector(RaptorError, ValueError):
    """A vector is not finite or has no direction (norm zero): embed its text again, or leave it out."""

    code = "invalid_vector"


class InvalidGrouping(RaptorError, ValueError):
    """The parameters or the nodes of a level do not make sense; the message says which."""

    code = "invalid_grouping"


class LevelTooLarge(RaptorError, ValueError):
    """The level has more nodes than are grouped at once: split the dataset."""

    code = "level_too_large"


@dataclass(frozen=True, slots=True)
class Frontier:
    """The nodes of one level, to be grouped into the next; row i of every field tells of node i.

    Raises InvalidGrouping when the fields differ in length, keys repeat or there is no node at all.
    """

    vectors: Matrix  # (n, d)
    tokens: IntArray  # (n,) estimated tokens of each text
    keys: Sequence[str]  # a lasting identity: the canonical order, and what breaks ties
    order: Sequence[tuple[str, int]]  # (document key, position); a summary carries that of its first leaf
    paths: Sequence[tuple[str, ...]]  # heading path of a leaf; empty above the leaves

    def __post_init__(self) -> None:
        n = len(self.keys)
        lengths = {len(self.vectors), len(self.tokens), n, len(self.order), len(self.paths)}
        if len(lengths) > 1:
            raise InvalidGrouping(f"a level's fields differ in length: {sorted(lengths)}")
        if n == 0:
            raise InvalidGrouping("a level without nodes has no groups")
        if len(set(self.keys)) < n:
            raise InvalidGrouping("two nodes of a level have the same key")

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class GroupingParams:
    """Defaults of the paper's code (RAPTOR, arXiv 2401.18059).

    `min_k` and `max_k` bound the number of mixture components that BIC chooses from: both of them in the global
    stage, `max_k` in the local ones. `window` is the number of neighbours that the groupers by reading order put
    together, that of the paper's own ablation. Raises InvalidGrouping.
    """

    min_k: int = 1
    max_k: int = 50
    threshold: float = 0.1  # least probability of a component that makes a node its member
    dimensions: int = 10  # of the reduced space
    seed: int = 224
    token_budget: int = 3500  # of the texts of one group
    local_neighbors: int = 10  # of UMAP's graph within a global cluster; the global one takes sqrt(n - 1)
    window: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.min_k <= self.max_k:
            raise InvalidGrouping("min_k has to be between 1 and max_k")
        if not 0 < self.threshold < 1:
            raise InvalidGrouping("threshold has to lie between 0 and 1")
        if self.dimensions < 1 or self.local_neighbors < 2 or self.window < 2:
            raise InvalidGrouping("dimensions has to be at least 1, local_neighbors and window at least 2")
        if self.token_budget < 3 or not 0 <= self.seed < 2**32:
            raise InvalidGrouping("token_budget has to be at least 3, seed in 0..2^32-1")

    @property
    def item_cap(self) -> int:
        """What one text may take of the budget: a third, so that any two or three texts fit together.

        With thirds a set of two or more can always be cut into groups of two and three within the budget; with
        halves, three long texts could not. Longer texts are truncated to this for the prompt.
        """
        return self.token_budget // 3


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes to be summarised together, in reading order."""

    members: tuple[int, ...]  # indices into the frontier
    weights: tuple[float, ...]  # membership in (0, 1]
    primary: tuple[bool, ...]  # whether this is the one group that a member belongs to first


@dataclass(frozen=True, slots=True)
class GroupingStats:
    clusters: int
    sizes: tuple[int, ...]  # members of each group
    truncated: tuple[str, ...]  # keys of the texts over the cap of one item
    best_bic: float | None = None  # of the global stage; None where no mixture was fitted
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)  # wall time by stage


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups in reading order of their first members."""

    groups: tuple[Group, ...]
    stats: GroupingStats


class Grouper(Protocol):
    async def __call__(self, frontier: Frontier, params: GroupingParams, compute: Compute) -> Grouping: ...
