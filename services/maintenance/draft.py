"""One level while it is planned: who is in which group, and which summaries have to be written anew."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray, IntArray
from services.clustering.grouping import Frontier
from services.maintenance.criterion import means_of
from services.maintenance.params import MaintenanceParams, Shape
from services.maintenance.tree import reading_ranks, unit, unseen
from utils.hashing import digest_of

# Typical sizes below this tell of a small tree, not of how its texts group: the engine itself puts up to `dimensions`
# + 1 nodes together without a look.
LEAST_SIZE = 5.0


@dataclass(frozen=True, eq=False)
class Below:
    """The finished level that is grouped. `owner` is the node that each leaf of the tree lies under; `untold` are the
    leaves that no text above can have seen, since one below them waits to be written."""

    nodes: Frontier
    owner: IntArray
    untold: NDArray[np.bool_]
    token_cap: int

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def rows(self) -> FloatArray:
        """(n, d) unit vectors."""
        return unit(self.nodes)

    @cached_property
    def cost(self) -> IntArray:
        """(n,) tokens, at most what one text may take of a prompt."""
        return np.clip(np.asarray(self.nodes.tokens, np.int64), 0, self.token_cap)

    @cached_property
    def reading(self) -> IntArray:
        """(n,) ranks in reading order."""
        return reading_ranks(self.nodes)

    @cached_property
    def leaves(self) -> IntArray:
        """(n,) how many leaves lie under each node."""
        return np.bincount(self.owner, minlength=len(self.nodes))


@dataclass(slots=True, eq=False)
class LevelDraft:
    """`members` and `guests` (soft members) are places in the level below with their weights, by group key.

    `told` has the leaves that each live text was written from; a group without an entry has no text that may stay:
    it is new, waits for its text, or has one that tells of a removed leaf (`stale`). `parents` are the groups' parents
    of before, as far as they had any. `paid` are the groups that are written anew whatever else happens to them.
    """

    number: int
    generation: int
    below: Below
    shape: Shape
    params: MaintenanceParams
    size: float
    spread: float
    members: dict[str, dict[int, float]]
    guests: dict[str, dict[int, float]]
    told: Mapping[str, IntArray]
    stale: Collection[str]
    parents: Mapping[str, int]
    paid: set[str] = field(default_factory=set)
    founded: int = 0
    home: dict[int, str] = field(init=False)
    before: dict[str, tuple[frozenset[int], frozenset[int]]] = field(init=False)

    def __post_init__(self) -> None:
        self.home = {item: group for group, members in self.members.items() for item in members}
        self.before = {group: self._links(group) for group in self.members}
        self.paid |= self.members.keys() - self.told.keys()

    @property
    def budget(self) -> int:
        return self.shape.grouping.token_budget

    @property
    def lag(self) -> float:
        return self.params.lag if self.number > 1 else 0.0

    @property
    def price(self) -> float:
        """What a summary is worth as a squared distance. Nothing above the first level: a node there stands for many
        leaves, and there are few. With a price the cosine of its nodes was .007 lower, for 2 % fewer summaries."""
        return self.params.price * self.spread if self.number == 1 else 0.0

    def items(self) -> list[int]:
        """Nodes that are in no group yet, in order of key."""
        keys = self.below.nodes.keys
        return sorted((i for i in range(len(self.below)) if i not in self.home), key=keys.__getitem__)

    def tokens(self, group: str) -> int:
        return sum(self.below.cost[i] for i in self.members[group])

    def rows(self, group: str) -> FloatArray:
        return np.asarray(self.below.rows[sorted(self.members[group])])

    def mean(self, group: str) -> FloatArray:
        return np.asarray(self.rows(group).mean(axis=0))

    def join(self, item: int, group: str) -> None:
        self.members[group][item] = 1.0
        self.guests[group].pop(item, None)
        self.home[item] = group

    def move(self, item: int, group: str) -> None:
        del self.members[self.home[item]][item]
        self.join(item, group)

    def found(self, items: Iterable[int]) -> str:
        """A new group of items that are in none. Its key follows from when, where and of what it was founded; the
        serial number tells it from one that was founded of the same and has grown since."""
        items = list(items)
        keys = sorted(self.below.nodes.keys[i] for i in items)
        group = digest_of([f"group {self.generation}.{self.number}.{self.founded}", *keys])
        self.founded += 1
        self.members[group], self.guests[group] = {}, {}
        for item in items:
            self.join(item, group)
        self.paid.add(group)
        return group

    def drop(self, group: str) -> list[int]:
        """Takes a group away. Returns the members that it had."""
        del self.guests[group]
        self.paid.discard(group)
        items = sorted(self.members.pop(group))
        for item in items:
            del self.home[item]
        return items

    def part(self, group: str, leaving: Collection[int]) -> str:
        """Founds a group of some members of another, which is written anew as well."""
        for item in leaving:
            del self.members[group][item], self.home[item]
        self.paid.add(group)
        return self.found(leaving)

    def is_new(self, group: str) -> bool:
        return group not in self.before

    def groups(self) -> list[str]:
        return sorted(self.members)

    def paid_groups(self) -> list[str]:
        return sorted(self.paid)

    def settle(self) -> None:
        """Counts as paid what lags too far behind by now."""
        self.paid.update(self.lagging([group for group in self.groups() if group not in self.paid]))

    def release(self) -> None:
        """Counts as unpaid again what has a text that may stay and ended with the members that it had."""
        self.paid -= {group for group in self.paid & self.told.keys() if not self.relinked(group)}
        self.settle()

    def lagging(self, groups: list[str]) -> list[str]:
        """Those of groups with a text whose text has not seen too many of the leaves under them."""
        place = {group: i for i, group in enumerate(groups)}
        home = np.array([place.get(self.home.get(i, ""), -1) for i in range(len(self.below))], np.int64)
        owner = np.where(self.below.untold, -1, home[self.below.owner])
        missed, under = unseen([self.told[group] for group in groups], owner)
        return [groups[i] for i in np.flatnonzero(missed > self.lag * under)]

    def relinked(self, group: str) -> bool:
        """Whether a group has other members than before, or is new."""
        return self.before.get(group) != self._links(group)

    def gained(self, group: str) -> bool:
        """Whether a group has members that it had not before."""
        return not self.members[group].keys() <= self.before.get(group, (frozenset(), frozenset()))[0]

    def _links(self, group: str) -> tuple[frozenset[int], frozenset[int]]:
        return frozenset(self.members[group]), frozenset(self.guests[group])


def means(draft: LevelDraft, groups: Iterable[str]) -> FloatArray:
    """(groups, d): the mean vector of each group's primary members."""
    return means_of(draft.below.rows, (np.array(sorted(draft.members[group])) for group in groups))
