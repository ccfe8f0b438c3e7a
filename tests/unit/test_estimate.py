"""The expected tree: counted where it can be, and within what every tree keeps."""

from __future__ import annotations

import numpy as np
import pytest

from constants.models import Price
from infra.model_registry import load_models
from services.clustering import GROUPERS, GroupingParams
from services.cost.budget import Terms
from services.cost.cost_lines import line_of
from services.cost.expected_tree import Leaves, expected_levels
from services.cost.usage import Usage
from services.tree.params import TreeParams


def leaves(n: int, tokens: int = 250, documents: int = 3) -> Leaves:
    names = sorted(f"{i % documents}.md" for i in range(n))
    return Leaves(names, [("Book", f"Part {i // 4}") for i in range(n)], np.full(n, tokens, np.int64))


@pytest.mark.parametrize("grouper", sorted(GROUPERS))
@pytest.mark.parametrize("n", [1, 2, 3, 11, 12, 40, 1000])
@pytest.mark.parametrize("budget", [400, 3500])
def test_each_level_is_at_most_half_of_the_one_below_and_the_last_is_the_root(
    grouper: str, n: int, budget: int
) -> None:
    levels = expected_levels(leaves(n), TreeParams(grouper=grouper, grouping=GroupingParams(token_budget=budget)))
    below = n
    for level in levels:
        assert 1 <= level.summaries <= max(1, below // 2)
        below = level.summaries
    assert levels[-1].summaries == 1
    assert all(level.input_tokens > level.output_tokens for level in levels if n > 3)


def test_no_leaf_no_tree() -> None:
    assert expected_levels(leaves(0), TreeParams()) == []


def test_a_smaller_budget_makes_more_groups_and_a_cap_ends_the_tree() -> None:
    wide = expected_levels(leaves(300), TreeParams())
    narrow = expected_levels(leaves(300), TreeParams(grouping=GroupingParams(token_budget=900)))
    assert narrow[0].summaries > wide[0].summaries
    capped = expected_levels(leaves(300), TreeParams(levels_cap=1))
    assert [level.summaries for level in capped] == [wide[0].summaries, 1]
    assert capped[1].input_tokens < 3500 + 40 * wide[0].summaries


def test_money_and_minutes_of_a_line() -> None:
    used = Usage(calls=100, input_tokens=200_000, output_tokens=10_000)
    priced = Terms("p", "m", Price(input=1.0, output=2.0), concurrency=16, rpm=20, tpm=1_000_000, min_interval_s=1.0)
    line = line_of("summary", priced, used, rounds=7)
    assert line.cost == pytest.approx(0.22)
    assert line.minutes == pytest.approx(5.0)
    unlimited = Terms("p", "m", Price(known=False), concurrency=16)
    line = line_of("summary", unlimited, used, rounds=30)
    assert line.cost is None
    assert line.minutes == pytest.approx(2.0)


def test_every_model_of_the_registry_has_a_price() -> None:
    registry = load_models()
    prices = {name: spec.price for name, spec in registry.chat.items()}
    prices |= {name: spec.price for name, spec in registry.embedders.items()}
    prices |= {name: spec.price for name, spec in registry.rerankers.items()}
    assert [name for name, price in prices.items() if not price.known] == []
