"""Which items go to which site, so that distances and the summaries made necessary cost little together.

The greedy rule of facility location (Jain, Mahdian, Markakis, Saberi, Vazirani 2003): over and over the site and the
items whose cost per item is least. What a site's summary and the ones above it cost is paid once, by the first that
makes it necessary.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Site(NamedTuple):
    """A group that is there, or one that could be founded.

    `items` come nearest first, with what each of them costs there. `path` are the summaries that have to be written
    again once they have to take in more leaves than they can; `opening` are summaries that come in any case. Above
    `room` items each costs one summary more: the group will have to be split. A site that is `whole` takes all or none.
    """

    items: tuple[int, ...]
    distances: tuple[float, ...]
    path: tuple[int, ...]
    room: int = 0
    opening: int = 0
    whole: bool = False


class Taken(NamedTuple):
    site: int
    items: tuple[int, ...]


class _Offer(NamedTuple):
    per_item: float
    items: tuple[int, ...]


@dataclass(slots=True)
class _Market:
    """`slack` are the leaves that a summary can take in before it has to be written again; infinite for one that has
    to be written anyway."""

    sites: Sequence[Site]
    leaves: Sequence[int]
    slack: dict[int, float]
    price: float
    waiting: set[int]
    room: list[int] = field(init=False)
    on_path: dict[int, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.room = [site.room for site in self.sites]
        self.on_path = defaultdict(list)
        for number, site in enumerate(self.sites):
            for summary in site.path:
                self.on_path[summary].append(number)

    def offer(self, number: int) -> _Offer | None:
        """The items that a site takes most cheaply, or None when none is left for it."""
        site = self.sites[number]
        if site.whole and not self.waiting.issuperset(site.items):
            return None
        best: _Offer | None = None
        taken: list[int] = []
        distance, leaves = 0.0, 0
        for item, own in zip(site.items, site.distances, strict=True):
            if item not in self.waiting:
                continue
            taken.append(item)
            leaves += self.leaves[item]
            crowded = not site.whole and len(taken) > self.room[number]
            distance += own + (self.price if crowded else 0.0)
            if site.whole and len(taken) < len(site.items):
                continue
            written = site.opening + sum(leaves > self.slack[summary] for summary in site.path)
            per_item = (distance + self.price * written) / len(taken)
            if best is None or per_item < best.per_item:
                best = _Offer(per_item, tuple(taken))
        return best

    def take(self, number: int, items: Sequence[int]) -> set[int]:
        """Settles an offer. Returns the sites that have become cheaper by it."""
        self.waiting.difference_update(items)
        self.room[number] -= len(items)
        leaves = sum(self.leaves[item] for item in items)
        cheaper: set[int] = set()
        for summary in self.sites[number].path:
            if leaves <= self.slack[summary] < math.inf:
                self.slack[summary] -= leaves
            elif self.slack[summary] < math.inf:
                self.slack[summary] = math.inf
                cheaper.update(self.on_path[summary])
        return cheaper


def located(sites: Sequence[Site], leaves: Sequence[int], slack: dict[int, float], price: float) -> list[Taken]:
    """Every item in one site. Each has to stand in at least one site that is not `whole`, or in two of which one is.

    `leaves` are the leaves that each item brings, `slack` those that each summary can still take in, changed on the
    way. Ties go to the site that stands first. An offer only gets dearer while others are taken, except where a
    summary on its path has just been paid: those are made again at once, all others when their turn comes.
    """
    market = _Market(sites, leaves, slack, price, set(range(len(leaves))))
    queue: list[tuple[float, int]] = []
    _renew(market, queue, range(len(sites)))
    taken: list[Taken] = []
    while market.waiting:
        per_item, number = heapq.heappop(queue)
        offer = market.offer(number)
        if offer is None:
            continue
        if offer.per_item > per_item:
            heapq.heappush(queue, (offer.per_item, number))
            continue
        taken.append(Taken(number, offer.items))
        _renew(market, queue, sorted(market.take(number, offer.items) | {number}))
    return taken


def _renew(market: _Market, queue: list[tuple[float, int]], numbers: Sequence[int]) -> None:
    for number in numbers:
        if (offer := market.offer(number)) is not None:
            heapq.heappush(queue, (offer.per_item, number))
