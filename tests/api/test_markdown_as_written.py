"""What people write and type is found: by the words that stand there, by the file's name, by what front matter says."""

# ruff: noqa: E501
from __future__ import annotations

from typing import Any

import pytest

from tests.client import ApiClient, error_of

pytestmark = pytest.mark.usefixtures("running")

# Name, text, question, and what the best hit has to hold.
FOUND = [
    ("v.md", "# Changes\n\n## [v4.7.3]\n\nThe pump rests.\n\n## [v4.8.0]\n\nNew display.\n", "4.7.3", "pump rests"),
    ("py.md", "# Set-up\n\n## Old\n\nUse python3.9.\n\n## New\n\nUse python3.11 with a cache.\n", "python 3.11", "cache"),
    ("pg.md", "# Set-up\n\n## Old\n\nUse postgres 14.\n\n## New\n\nUse postgres-15.2.\n", "postgres 15.2", "postgres-15.2"),
    ("c.md", "# Languages\n\n## C++\n\nLate.\n\n## C#\n\nEarly generics.\n\n## C\n\nNone.\n", "C#", "Early generics"),
    ("ja.md", "# 昔話\n\n## 山\n\n山に龍がいた。\n\n## 川\n\n川に魚がいた。\n", "龍", "龍がいた"),
    ("ar.md", "# سجل\n\nبنيت المحطة سنة ١٩٨٧.\n\n## أخرى\n\nبنيت سنة ٢٠٠١.\n", "1987", "١٩٨٧"),
    ("shy.md", "# Meer\n\n## Tiere\n\nDer Riesen\u00adkal\u00admar taucht.\n\n## Boote\n\nIm Hafen.\n", "Riesenkalmar", "taucht"),
    ("nfd.md", "# Cafe\u0301\n\n## Ba\u0300i ho\u0323c\n\nVe\u0302\u0300 bie\u0302\u0309n.\n\n## Khác\n\nNúi.\n", "về biển", "bie\u0302\u0309n"),
    ("Zanzibar trip.md", "We left with three bags.\n", "Zanzibar trip", "three bags"),
    ("nm.md", "---\naliases: [Fondant]\n---\n\nSugar paste from December.\n", "Fondant", "Sugar paste"),
    ("t.md", "# T\n\n| article | price |\n| --- | --- |\n" + "".join(f"| SKU-{n:04} | {n} |\n" for n in range(200)), "SKU-0150", "SKU-0150"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "query", "finds"), FOUND, ids=[one[0] for one in FOUND])
async def test_what_stands_there_is_found_as_it_is_typed(
    api: ApiClient, name: str, text: str, query: str, finds: str
) -> None:
    await api.ingest(text, name=name, chunk_size="300", chunk_overlap="0", build_tree="false")
    await api.ingest("# Other\n\nNothing of it is here, but bread.\n", name="other.md", build_tree="false")
    best, *_ = (await api.retrieve(query, mode="leaves", top_k=1))["results"]
    assert finds in best["text"]


BEES = """---
title: "Winter: feeding" # draft
tags: [beekeeping, Winter]
status: Draft
aliases:
  - Fondant
created: 2024-01-05
weight: 12.5
nested:
  depth: 3
published: false
---

# Feeding

Fondant from December.
"""
BOATS = """+++
title = "Boats"
tags = ["café", "winter"]
created = 2023-06-01T10:00:00Z
weight = 3
+++

Boats lie in the harbour. #harbour/old
"""


@pytest.fixture
async def vault(api: ApiClient) -> ApiClient:
    await api.ingest(BEES, name="bees.md", source="guides/bees.md", build_tree="false")
    await api.ingest(BOATS, name="boats.md", source="guides-old/boats.md", build_tree="false")
    return api


async def names(api: ApiClient, **filters: Any) -> set[str]:
    found = await api.retrieve("bees and boats in winter", mode="leaves", filters=filters)
    return {hit["file_name"] for hit in found["results"]}


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"tags": "beekeeping"}, {"bees.md"}),
    ({"tags": "WINTER"}, {"bees.md", "boats.md"}),
    ({"tags": "Cafe\u0301"}, {"boats.md"}),
    ({"tags": "harbour/old"}, {"boats.md"}),
    ({"tags": {"prefix": "harbour/"}}, {"boats.md"}),
    ({"tags": {"ne": "beekeeping"}}, {"boats.md"}),
    ({"tags": ["beekeeping", "café"]}, {"bees.md", "boats.md"}),
    ({"meta.aliases": "fondant"}, {"bees.md"}),
    ({"meta.status": "draft"}, {"bees.md"}),
    ({"meta.title": "winter: feeding"}, {"bees.md"}),
    ({"meta.created": {"gte": "2024-01-01"}}, {"bees.md"}),
    ({"meta.created": {"gte": "2023-01-01", "lt": "2024-01-01"}}, {"boats.md"}),
    ({"meta.created": "2024-01-05"}, {"bees.md"}),
    ({"meta.weight": {"gt": 3}}, {"bees.md"}),
    ({"meta.weight": {"lte": 3}}, {"boats.md"}),
    ({"meta.weight": 3}, {"boats.md"}),
    ({"meta.weight": "3"}, {"boats.md"}),
    ({"meta.weight": {"gt": "3"}}, set()),
    ({"meta.nested.depth": 3}, {"bees.md"}),
    ({"meta.published": False}, {"bees.md"}),
    ({"meta.published": {"nin": [False]}}, {"boats.md"}),
    ({"source": {"prefix": "guides/"}}, {"bees.md"}),
    ({"source": {"prefix": "Guides"}}, {"bees.md", "boats.md"}),
    ({"source": "guides/bees.md"}, {"bees.md"}),
    ({"meta.missing": {"gte": 1}}, set()),
]


async def test_fields_of_front_matter_filter(vault: ApiClient) -> None:
    for filters, wanted in FILTERS:
        assert await names(vault, **filters) == wanted, filters


@pytest.mark.parametrize("wanted", [{}, {"after": 1}, {"gte": [1]}, {"prefix": 3}, {"in": []} | {"x": 1}])
async def test_a_comparison_that_is_none_is_refused(vault: ApiClient, wanted: dict[str, Any]) -> None:
    body = {"dataset_id": "ds", "query": "bees", "filters": {"meta.created": wanted}}
    response = await vault.post("/v1/retrieve", json=body)
    assert error_of(response)[:2] == (422, "validation_error")


async def test_what_the_request_says_wins(api: ApiClient) -> None:
    await api.ingest(
        BEES, name="bees.md", tags="mine", extra_meta='{"status": "final", "title": "Mine"}', build_tree="false"
    )
    assert await names(api, tags="beekeeping") == set()
    assert await names(api, tags="mine") == {"bees.md"}
    assert await names(api, **{"meta.status": "final"}) == {"bees.md"}
    assert await names(api, **{"meta.tags": "beekeeping"}) == {"bees.md"}
    [hit] = (await api.retrieve("bees", mode="leaves"))["results"]
    assert hit["document_title"] == "Mine"


BROKEN = {
    "colon": "---\ntitle: Winter: feeding\n---\n\nWords of it.\n",
    "a tag": "---\ntitle: !!python/object/apply:os.system [ls]\n---\n\nWords of it.\n",
    "a bomb": "---\na: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)) + "---\n\nWords of it.\n",
    "an endless anchor": "---\na: &a [*a]\n---\n\nWords of it.\n",
    "depth": "---\na: " + "[" * 1_000 + "]" * 1_000 + "\n---\n\nWords of it.\n",
    "TOML's depth": "+++\na = " + "[" * 1_000 + "]" * 1_000 + "\n+++\n\nWords of it.\n",
    "a megabyte": "---\na: " + "word " * 200_000 + "\n---\n\nWords of it.\n",
    "a date out of range": "+++\na = 2024-13-45\n+++\n\nWords of it.\n",
    "a key of many words": "---\n? [a, b]\n: c\n# x: 1\nd: 2\n---\n\nWords of it.\n".replace("---\n?", "---\n# x\n?", 1),
    "tabs": "---\na:\n\t- b\n---\n\nWords of it.\n",
}  # fmt: skip


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
async def test_front_matter_that_cannot_be_read_is_text_with_a_warning(api: ApiClient, text: str) -> None:
    done = await api.ingest(text, name="broken.md", build_tree="false")
    [warning] = done["warnings"]
    assert warning.startswith("The front matter is kept as text")
    assert (await api.data(f"/v1/documents/{done['doc_id']}"))["text"] == text


async def test_fields_that_stand_twice_are_told(api: ApiClient) -> None:
    done = await api.ingest(
        "---\na: 1\na: 2\n1: x\n2024-01-01: y\n---\n\nWords.\n", name="twice.md", build_tree="false"
    )
    assert done["warnings"] == ["The front matter has the field `a` more than once: the last one counts."]
    assert await names(api, **{"meta.a": 2}) == await names(api, **{"meta.2024-01-01": "y"}) == {"twice.md"}


@pytest.mark.parametrize("name", ["a.mdx", "a.MARKDOWN", "a.qmd", "a.mdown"])
async def test_files_of_every_dialect_are_taken(api: ApiClient, name: str) -> None:
    await api.ingest("# A\n\nWords.\n", name=name, build_tree="false")


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a", "a.md.exe"])
async def test_other_files_are_refused_with_what_is_taken(api: ApiClient, name: str) -> None:
    response = await api.upload("words", name=name)
    assert error_of(response)[:2] == (400, "unsupported_file_type")
    assert ".mdx" in response.json()["error"]["details"]["accepted"]


async def test_a_name_of_5000_letters_is_refused(api: ApiClient) -> None:
    assert error_of(await api.upload("words", name="a" * 5_000 + ".md"))[:2] == (422, "validation_error")


async def test_two_unicode_forms_of_a_name_are_one_document(api: ApiClient) -> None:
    first = await api.ingest("# A\n\nWords.\n", name="caf\u00e9.md", build_tree="false")
    second = await api.ingest("# A\n\nOther words.\n", name="cafe\u0301.md", build_tree="false")
    assert first["doc_id"] == second["doc_id"]


@pytest.mark.parametrize("mode", ["leaves", "collapsed", "tree_traversal", "digest"])
async def test_a_filter_on_headings_leaves_one_section(api: ApiClient, mode: str) -> None:
    engine, mast, pier = (
        " ".join(f"The {name} is part {n} of {name}{n} and of {name}{n + 50}." for n in range(8))
        for name in ("engine", "mast", "pier")
    )
    text = f"# Ship\n\n## Engine\n\n{engine}\n\n## Mast\n\n{mast}\n\n# Pier\n\n{pier}\n"
    await api.ingest(text, name="ship.md", chunk_size="300", chunk_overlap="0")

    async def paths(prefix: str | list[str]) -> set[tuple[str, ...]]:
        filters = {"heading_path": {"prefix": prefix}}
        found = await api.retrieve("the parts of a pier", mode=mode, filters=filters, top_k=50)
        return {tuple(hit["heading_path"]) for hit in found["results"] if hit["kind"] == "leaf"}

    assert await paths(["Ship", "Mast"]) == {("Ship", "Mast")}
    assert await paths("Ship") >= {("Ship", "Mast"), ("Ship", "Engine")}
    assert {path[0] for path in await paths("Ship")} == {"Ship"}
    assert await paths(["Mast"]) == set()


async def test_a_hit_shows_what_it_links_to_and_what_links_to_it(api: ApiClient) -> None:
    await api.ingest(
        "# Start\n\nRead about [sugar](food/sugar.md).\n\n## Later\n\nMore words.\n",
        source="start.md",
        build_tree="false",
        chunk_size="100",
        chunk_overlap="0",
    )
    await api.ingest(
        "---\naliases: [Fondant]\n---\n\n# Sugar\n\nIt is sweet.\n", source="food/sugar.md", build_tree="false"
    )
    await api.ingest(
        "# Bees\n\nThey eat [[Fondant]] in winter, see [[Nowhere]].\n", source="bees.md", build_tree="false"
    )
    hits = {
        hit["source"]: hit for hit in (await api.retrieve("sugar fondant sweet", mode="leaves", top_k=10))["results"]
    }
    assert {one["title"] for one in hits["food/sugar.md"]["linked_from"]} == {"Bees", "Start"}
    assert [one["source"] for one in hits["bees.md"]["links"]] == ["food/sugar.md"]
    await api.delete(f"/v1/documents/{hits['food/sugar.md']['doc_id']}")
    [bees] = [hit for hit in (await api.retrieve("bees eat", mode="leaves"))["results"] if hit["source"] == "bees.md"]
    assert bees["links"] == []
