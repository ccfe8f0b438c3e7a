"""Trees through histories of chance: what has to hold after every change."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.maintenance import LiveTree, MaintenanceParams, violations
from services.maintenance.placement import PLACEMENTS
from tests.unit.maintenance.corpus import Living, Passage, document, leaves, shape
from utils.hashing import digest_of

# A change: documents that come (their number of passages), documents that go, passages that are taken out.
CHANGE = st.tuples(
    st.lists(st.integers(1, 24), max_size=3), st.lists(st.integers(0, 99), max_size=3), st.integers(0, 4)
)
GROUPERS = sorted(PLACEMENTS.keys() - {"umap_gmm_reference"})  # it is slow, and placed as umap_gmm is
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Corpus:
    """Documents that come and go, never none."""

    def __init__(self, first: int) -> None:
        self.count = 0
        self.passages: list[Passage] = []
        self.tokens: dict[Passage, int] = {}
        self.add(first)

    def add(self, passages: int) -> None:
        new = document(f"doc {self.count:03d}", passages)
        self.tokens |= {passage: 40 + 37 * (i * self.count % 31) for i, passage in enumerate(new)}
        self.passages += new
        self.count += 1

    def change(self, coming: list[int], going: list[int], out: int) -> None:
        for passages in coming:
            self.add(passages)
        for number in going:
            gone = {name for name, _ in self.passages}
            name = sorted(gone)[number % len(gone)]
            self.passages = [p for p in self.passages if p[0] != name] or self.passages[:1]
        for number in range(min(out, len(self.passages) - 1)):
            self.passages.pop(number * 7 % len(self.passages))


@pytest.mark.parametrize("grouper", GROUPERS)
@SLOW
@given(
    first=st.integers(1, 40),
    changes=st.lists(CHANGE, min_size=1, max_size=8),
    price=st.sampled_from([0.0, 0.25, 2.0]),
    lag=st.sampled_from([0.0, 0.1, 0.4]),
    budget=st.sampled_from([500, 1200, 3500]),
    cap=st.sampled_from([None, None, 1, 2]),
)
def test_a_tree_stays_lawful_through_any_history(
    grouper: str,
    first: int,
    changes: list[tuple[list[int], list[int], int]],
    price: float,
    lag: float,
    budget: int,
    cap: int | None,
) -> None:
    corpus = Corpus(first)
    params = MaintenanceParams(price=price, lag=lag)
    living = Living.of(leaves(corpus.passages, corpus.tokens), shape(grouper, budget, cap), params)
    for change in changes:
        corpus.change(*change)
        living.become(leaves(corpus.passages, corpus.tokens))
        assert violations(living.tree, living.shape, params) == []
        assert living.told() == {key: living.texts[key] for key in living.told()}, "provenance is what was written"
        alive = set(living.tree.leaves.keys)
        assert all(told <= alive for told in living.told().values()), "a live text tells of a removed leaf"


@pytest.mark.parametrize("seed", [1, 4])  # 4: of one set of members two groups are founded in one generation
@pytest.mark.parametrize("grouper", GROUPERS)
def test_a_tree_stays_lawful_through_a_long_history(grouper: str, seed: int) -> None:
    rng = random.Random(seed)
    corpus, params = Corpus(150), MaintenanceParams()
    living = Living.of(leaves(corpus.passages, corpus.tokens), shape(grouper), params)
    for _ in range(40):
        coming = [rng.randint(1, 30) for _ in range(rng.choice([0, 0, 1, 1, 3]))]
        going = [rng.randint(0, 99) for _ in range(rng.choice([0, 0, 1, 2, 8]))]
        corpus.change(coming, going, rng.randint(0, 6))
        living.become(leaves(corpus.passages, corpus.tokens))
        assert violations(living.tree, living.shape, params) == []
        assert living.told() == {key: living.texts[key] for key in living.told()}


@pytest.mark.parametrize("grouper", GROUPERS)
def test_all_but_one_leaf_may_go_and_the_tree_grows_again_from_it(grouper: str) -> None:
    many = [passage for i in range(12) for passage in document(f"doc {i:03d}", 9)]
    living = Living.of(leaves(many), shape(grouper), MaintenanceParams())
    living.become(leaves(many[40:41]))
    assert [len(level) for level in living.tree.levels] == [1], "a leaf and a root"
    for count in range(41, len(many), 3):
        living.become(leaves(many[40 : count + 1]))
        assert violations(living.tree, living.shape, living.params) == []
    assert len(living.tree.levels) > 1


def test_a_burst_of_ten_times_the_leaves_is_taken_in() -> None:
    few, many = document("first", 8), [p for i in range(20) for p in document(f"doc {i:03d}", 4)]
    living = Living.of(leaves(few), shape(), MaintenanceParams())
    living.become(leaves([*few, *many]))
    assert violations(living.tree, living.shape, living.params) == []
    assert len(living.tree.levels[0]) >= 8


def history(grouper: str) -> str:
    """A digest of all that a tree has become."""
    corpus = Corpus(30)
    living = Living.of(leaves(corpus.passages), shape(grouper), MaintenanceParams())
    for change in (([12, 3], [], 2), ([7], [0], 3), ([2, 2, 9], [1], 0), ([1], [2], 4)):
        corpus.change(*change)
        living.become(leaves(corpus.passages))
    return fingerprint(living.tree)


def fingerprint(tree: LiveTree) -> str:
    rows = [level.nodes.vectors.array for level in tree.levels]
    return digest_of(
        [
            *(repr((level.nodes.keys, level.groups, level.born)) for level in tree.levels),
            *(repr([told.tolist() for told in level.told]) for level in tree.levels),
            *(row.tobytes().hex() for row in rows if row is not None),
        ]
    )


@pytest.mark.parametrize("grouper", GROUPERS)
def test_the_same_history_gives_the_same_bytes_in_another_process(grouper: str) -> None:
    program = f"from tests.unit.maintenance.test_histories import history; print(history({grouper!r}))"
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=_other_environment()
    )
    assert told.stdout.strip() == history(grouper)


def _other_environment() -> dict[str, str]:
    return os.environ | {"PYTHONHASHSEED": "7", "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
