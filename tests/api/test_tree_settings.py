"""What shapes a tree has bounds: what is outside of them is refused before anything is stored, and what is inside of
them builds. Settings that got stored all the same do not break a dataset for good."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.container import Container
from services.clustering import GROUPERS, Frontier, Matrix, load_grouper
from services.errors import BrokenTreeSettings, InvalidRequest
from services.maintenance import MaintenanceParams
from services.tree.params import TreeParams, tree_ranges
from tests.client import ApiClient, error_of
from tests.factories import handbook, page
from utils.ranges import Range

DEFAULTS = TreeParams().as_json()
RANGES = tree_ranges()
NEVER: list[Any] = [True, False, "", "7", "many", [], [3], {}, {"least": 1}, 2**70, -(2**70), 10**400, -1]
NEVER += [math.nan, math.inf, -math.inf, 1e308, -1e308, 2**31 * 1.5, -0.5]
NO_NAMES: list[Any] = [None, True, 7, "", [], {}, math.nan]


def never(name: str) -> list[Any]:
    """Values that the parameter cannot have: of no number's kind, or beyond its ends."""
    wanted = RANGES[name]
    beyond = [wanted.least - 1, wanted.most + 1] + ([wanted.least + 0.5, float(wanted.most)] if wanted.whole else [])
    nothing = [] if wanted.optional else [None]
    return NEVER + beyond + nothing


CASES: list[tuple[str, Any]] = [(name, value) for name in RANGES for value in never(name)]
CASES += [(name, value) for name in ("grouper", "summary_llm") for value in NO_NAMES]


async def rebuild(api: ApiClient, tree: dict[str, Any]) -> Any:
    """As a client may send it, which is not always JSON as it should be (NaN)."""
    body = json.dumps({"tree": tree})
    return await api.post("/v1/datasets/ds/rebuild", content=body, headers={"content-type": "application/json"})


async def finished(api: ApiClient, tree: dict[str, Any]) -> dict[str, Any]:
    started = await rebuild(api, tree)
    assert started.status_code == 202, started.text
    return await api.finished(started.json()["data"]["job_id"])


@pytest.mark.usefixtures("running")
async def test_what_cannot_be_is_refused_with_its_range_before_anything_is_stored(api: ApiClient) -> None:
    await api.ingest(page("bees"))
    before = await api.data("/v1/datasets/ds")
    jobs = len((await api.data("/v1/jobs"))["items"])
    for name, value in CASES:
        refused = await rebuild(api, {name: value})
        assert error_of(refused) == (422, "validation_error"), (name, value)
        assert f"{name} has to be " in refused.json()["error"]["message"], (name, value)
        if name in RANGES:
            assert str(RANGES[name]) in refused.json()["error"]["message"]
    both = await rebuild(api, {"min_k": 9, "max_k": 8})
    assert (error_of(both), "at most max_k" in both.text) == ((422, "validation_error"), True)
    assert error_of(await rebuild(api, {"x" * 100_000: 1})) == (422, "validation_error")
    assert await api.data("/v1/datasets/ds") == before
    assert len((await api.data("/v1/jobs"))["items"]) == jobs

    asked = await api.post("/v1/datasets/ds/estimate", json={"tree": {"token_budget": 2**70}})
    assert error_of(asked) == (422, "validation_error")
    assert (await finished(api, {"seed": 5}))["status"] == "succeeded"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("end", ["least", "most"])
async def test_each_end_of_each_range_builds(api: ApiClient, end: str) -> None:
    await api.ingest(handbook(3))
    for name, wanted in RANGES.items():
        value = getattr(wanted, end)
        tree = {name: value} | ({"max_k": value} if name == "min_k" else {})
        job = await finished(api, tree)
        assert (job["status"], job["error"]) == ("succeeded", None), tree
        assert (await api.data("/v1/datasets/ds/tree"))["params"][name] == value
        await finished(api, {name: DEFAULTS[name] for name in tree})


within = {
    name: (st.integers(int(one.least), int(one.most)) if one.whole else st.floats(one.least, one.most))
    for name, one in RANGES.items()
}


patient = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@pytest.mark.timeout(400)
@given(
    tree=st.fixed_dictionaries({}, optional=within),
    grouper=st.sampled_from([name for name in GROUPERS if name != "umap_gmm_reference"]),
    n=st.integers(1, 40),
)
def test_whatever_lies_within_the_ranges_groups_a_level(tree: dict[str, Any], grouper: str, n: int) -> None:
    tree["max_k"] = max(tree.get("min_k", 1), tree.get("max_k", 50))
    params = TreeParams().changed({**tree, "grouper": grouper})
    vectors = np.random.default_rng(n).normal(size=(n, 96)).astype(np.float32)
    frontier = Frontier(
        vectors=Matrix.of(vectors),
        tokens=np.full(n, 90),
        keys=[f"{i:03d}" for i in range(n)],
        order=[("d", i) for i in range(n)],
        paths=[("a", str(i // 5)) for i in range(n)],
    )

    async def at_once(function: Any, *args: Any) -> Any:
        return function(*args)

    grouping = asyncio.run(load_grouper(params.grouper)(frontier, params.grouping, at_once))
    assert {member for group in grouping.groups for member in group.members} == set(range(n))


anything = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.integers(), st.floats(), st.lists(st.integers(), max_size=2),
    st.sampled_from(NEVER),
)  # fmt: skip


def refusal(changes: dict[str, Any], stored: dict[str, Any]) -> InvalidRequest | None:
    try:
        params = TreeParams().changed(changes, stored).as_json()
    except InvalidRequest as error:
        return error
    given = {**stored, **changes}
    assert {name: params[name] for name in given if name in params} == given or "mystery" in stored
    assert all(params[name] in RANGES[name] for name in RANGES)
    return None


@patient
@given(tree=st.dictionaries(st.sampled_from([*DEFAULTS, "mystery"]), anything, max_size=4))
def test_parameters_are_taken_as_they_are_or_refused(tree: dict[str, Any]) -> None:
    asked, stored = refusal(tree, {}), refusal({}, tree)
    assert not isinstance(asked, BrokenTreeSettings)
    if stored is not None:
        assert isinstance(stored, BrokenTreeSettings)
        assert refusal(stored.details["tree"], tree) is None, "what it proposes mends it"
    if "mystery" in tree:
        assert asked is not None
    else:
        assert (asked is None) is (stored is None)
    for error in (asked, stored):
        json.dumps(error.as_json() if error else {}, allow_nan=False)


@pytest.mark.parametrize("name", ["price", "lag", "regret", "batch"])
@pytest.mark.parametrize("value", [-0.1, 101, 1e308, 2**70, math.nan, math.inf, None, True, "0.1", []], ids=str)
def test_a_price_a_lag_or_a_regret_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} has to be a number from 0.0 to"):
        MaintenanceParams(**{name: value})


def test_a_whole_number_of_any_length_is_compared_with_a_range() -> None:
    assert 10**400 not in Range(0.0, 1.0)
    assert 1 in Range(0.0, 1.0)
    assert 1.0 not in Range(0, 1)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "stored",
    [
        {"token_budget": 1e308, "dimensions": 10**6},
        {"grouper": None},
        {"max_k": None, "levels_cap": "x"},
        {"min_k": 99},
    ],
    ids=str,
)
async def test_settings_that_got_stored_and_cannot_be_are_mended_by_a_rebuild(
    api: ApiClient, container: Container, stored: dict[str, Any]
) -> None:
    await api.ingest(page("bees"))
    async with container.engine.begin() as connection:
        await connection.execute(
            text("update datasets set settings = cast(:stored as jsonb)"), {"stored": json.dumps(stored)}
        )
    waited = await api.upload(page("salt"), name="salt.md")
    assert error_of(waited) == (422, "validation_error")
    told = waited.json()["error"]
    assert "rebuild" in told["message"]
    assert set(told["details"]["tree"]) >= set(stored)
    assert (await api.retrieve("honey"))["results"], "the tree that is live answers meanwhile"
    assert error_of(await rebuild(api, {"seed": 3})) == (422, "validation_error"), "that is not what is broken"

    job = await finished(api, told["details"]["tree"])
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert (await api.retrieve("sea salt"))["results"]
    assert (await api.ingest(page("anchors"), name="anchors.md"))["status"] == "embedded"
