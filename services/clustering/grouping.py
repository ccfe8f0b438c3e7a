"""What a grouper takes and what it gives: the nodes of one level, and the groups that become the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from services.arrays import IntArray
from services.clustering.matrix import Matrix
from services.errors import RaptorError
from utils.ranges import out_of_range, ranged

Compute = Callable[..., Awaitable[Any]]
"""`await compute(function, *args)` runs a picklable top-level function, in the process pool or at once."""


class InvalidVector(RaptorError, ValueError):
    """A vector is not finite or has no direction (norm zero): embed its text again, or leave it out."""

    code = "invalid_vector"
    status = 502


class InvalidGrouping(RaptorError, ValueError):
    """The parameters or the nodes of a level do not make sense; the message says which."""

    code = "invalid_grouping"
    status = 422


class LevelTooLarge(RaptorError, ValueError):
    """The level has more nodes than are grouped at once: split the dataset."""

    code = "level_too_large"
    status = 422


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

    min_k: int = ranged(1, 1, 256)
    max_k: int = ranged(50, 1, 256)
    threshold: float = ranged(0.1, 1e-6, 0.999)  # least probability of a component that makes a node its member
    dimensions: int = ranged(10, 1, 64)  # of the reduced space
    seed: int = ranged(224, 0, 2**32 - 1)
    token_budget: int = ranged(3500, 3, 1_000_000)  # of the texts of one group
    local_neighbors: int = ranged(10, 2, 256)  # of UMAP's graph within a global cluster; the global takes sqrt(n - 1)
    window: int = ranged(7, 2, 256)

    def __post_init__(self) -> None:
        for told in out_of_range(GroupingParams, asdict(self)).values():
            raise InvalidGrouping(told)
        if self.min_k > self.max_k:
            raise InvalidGrouping("min_k has to be at most max_k")

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
