"""Datasets made before their first document, described, and set; and the embedder that each has for good."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import ApiClient, error_of
from tests.factories import handbook, page

LATER = {"Prefer": "respond-async"}
VOYAGE = {"X-BYOK-Voyage-Api-Key": "pa-0000"}
OPENAI = {"X-BYOK-OpenAI-Api-Key": "sk-0000"}
LEXICAL, SMALL = "builtin/lexical-1", "openai/text-embedding-3-small"


async def put(api: ApiClient, body: dict[str, Any], dataset: str = "ds", **options: Any) -> tuple[int, dict[str, Any]]:
    answer = await api.http.put(f"/v1/datasets/{dataset}", json=body, **options)
    assert answer.status_code in (200, 201), answer.text
    return answer.status_code, answer.json()["data"]


async def patch(api: ApiClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.http.patch("/v1/datasets/ds", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def test_a_dataset_is_made_once_however_often_it_is_put(api: ApiClient) -> None:
    wanted = {
        "name": "Rules of the house",
        "description": "What holds here.\nAnd since when.",
        "embed_model": SMALL,
        "vector_index": "exact",
        "settings": {"max_k": 7, "refine": "heuristic", "summary_llm": "builtin/extractive"},
    }
    first, made = await put(api, wanted)
    again, same = await put(api, wanted)

    assert (first, again) == (201, 200)
    for told in (made, same):
        assert {name: told[name] for name in ("name", "description", "vector_index", "settings")} == {
            name: value for name, value in wanted.items() if name != "embed_model"
        }
        assert (told["embedding_model"], told["dimensions"], told["documents"]) == (SMALL, 1536, 0)
    assert made["embedding_status"] == "not_started"
    assert made["created_at"] == same["created_at"]


async def test_what_a_put_does_not_mention_is_empty_and_the_space_stays(api: ApiClient) -> None:
    await put(api, {"name": "A", "embed_model": SMALL, "vector_index": "exact", "settings": {"max_k": 7}})
    _, told = await put(api, {"description": "B"})
    assert (told["name"], told["description"], told["settings"]) == (None, "B", {})
    assert (told["embedding_model"], told["vector_index"]) == (SMALL, "exact")


async def test_what_a_patch_does_not_mention_stays_and_null_clears(api: ApiClient) -> None:
    await put(api, {"name": "A", "description": "B", "settings": {"max_k": 7, "refine": "off"}})
    assert (await patch(api, {"name": "C"}))["description"] == "B"
    assert (await patch(api, {"settings": {"max_k": None, "min_k": 2}}))["settings"] == {"min_k": 2, "refine": "off"}
    cleared = await patch(api, {"name": None, "description": None, "settings": None})
    assert (cleared["name"], cleared["description"], cleared["settings"]) == (None, None, {})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"settings": {"max_k": 0}}, "validation_error"),
        ({"settings": {"max_k": "7"}}, "validation_error"),
        ({"settings": {"min_k": 60}}, "validation_error"),
        ({"settings": {"seed": True}}, "validation_error"),
        ({"settings": {"grouper": "dice"}}, "validation_error"),
        ({"settings": {"max_kk": 7}}, "validation_error"),
        ({"settings": {"refine": "always"}}, "validation_error"),
        ({"settings": {"refine": ["off"]}}, "validation_error"),
        ({"settings": {"summary_llm": "nobody"}}, "unknown_model"),
        ({"settings": {"summary_llm": 7}}, "validation_error"),
        ({"vector_index": "ivf"}, "validation_error"),
        ({"nmae": "A"}, "validation_error"),
        ({"name": "a\nb"}, "validation_error"),
        ({"description": "\u0000"}, "validation_error"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_stored(
    api: ApiClient, body: dict[str, Any], code: str
) -> None:
    assert error_of(await api.http.put("/v1/datasets/new", json=body)) == (422, code)
    assert error_of(await api.get("/v1/datasets/new")) == (404, "dataset_not_found")

    _, before = await put(api, {"name": "A", "settings": {"max_k": 7}})
    assert error_of(await api.http.patch("/v1/datasets/ds", json={"description": "lost"} | body)) == (422, code)
    assert await api.data("/v1/datasets/ds") == before


async def test_what_is_not_there_is_not_patched_and_an_unknown_embedder_is_none(api: ApiClient) -> None:
    assert error_of(await api.http.patch("/v1/datasets/ds", json={"name": "A"})) == (404, "dataset_not_found")
    assert error_of(await api.http.put("/v1/datasets/ds", json={"embed_model": "x/y"})) == (422, "unknown_model")
    assert error_of(await api.http.put("/v1/datasets/a%20b", json={})) == (422, "validation_error")
    assert error_of(await api.http.patch("/v1/datasets/ds", json={"embed_model": SMALL})) == (422, "validation_error")


async def test_a_dataset_has_one_embedder_for_good(api: ApiClient) -> None:
    await put(api, {"embed_model": SMALL})
    assert error_of(await api.http.put("/v1/datasets/ds", json={"embed_model": LEXICAL})) == (
        409,
        "embedding_space_conflict",
    )
    documents = [{"text": "# A\n\nOne.", "doc_id": "a"}]
    for answer in (
        await api.upload(embed_model=LEXICAL, headers=LATER),
        await api.post("/v1/documents", json={"dataset_id": "ds", "text": "# A\n\nOne.", "embed_model": LEXICAL}),
        await api.post(
            "/v1/documents/batch", json={"dataset_id": "ds", "documents": documents, "embed_model": LEXICAL}
        ),
    ):
        assert error_of(answer) == (409, "embedding_space_conflict")
        assert answer.json()["error"]["details"] == {"asked": LEXICAL, "space": SMALL}
    assert (await api.data("/v1/datasets/ds"))["documents"] == 0


async def test_the_first_upload_chooses_the_embedder(api: ApiClient) -> None:
    sent = await api.upload(embed_model=SMALL, headers={**LATER, **VOYAGE, **OPENAI})
    assert sent.status_code == 202, sent.text
    assert (await api.data("/v1/datasets/ds"))["embedding_model"] == SMALL

    begun = (await api.post("/v1/datasets/other/uploads", json={"embed_model": SMALL})).json()["data"]["upload_id"]
    await api.post(f"/v1/uploads/{begun}/documents", json={"text": "# A\n\nOne."})
    assert (await api.post(f"/v1/uploads/{begun}/commit", headers={**VOYAGE, **OPENAI})).status_code == 202
    assert (await api.data("/v1/datasets/other"))["embedding_model"] == SMALL


async def test_a_key_that_would_allow_a_better_embedder_is_told_of(api: ApiClient) -> None:
    first = await api.upload(page("bees"), headers=LATER)
    assert first.json()["data"]["warnings"] == []

    told = (await api.upload(page("bread"), name="b.md", headers={**LATER, **VOYAGE})).json()["data"]["warnings"]
    assert len(told) == 1
    assert "builtin/lexical-1" in told[0]
    assert "voyage/" in told[0]

    meant = await api.upload(page("salt"), name="c.md", embed_model=LEXICAL, headers={**LATER, **VOYAGE})
    assert meant.json()["data"]["warnings"] == []
    batch = {"dataset_id": "ds", "documents": [{"text": page("maps")}, {"text": page("clocks")}]}
    assert (await api.post("/v1/documents/batch", json=batch, headers=VOYAGE)).json()["data"]["warnings"] == told


async def test_a_dataset_of_the_best_embedder_is_not_warned_of_a_lesser_key(api: ApiClient) -> None:
    await api.upload(page("bees"), headers={**LATER, **VOYAGE})
    told = await api.upload(page("bread"), name="b.md", headers={**LATER, **VOYAGE, **OPENAI})
    assert told.json()["data"]["warnings"] == []


async def test_a_dataset_refines_its_uploads_as_it_is_set(api: ApiClient) -> None:
    await put(api, {"settings": {"refine": "heuristic"}})
    await api.submit(page("bees"), name="a.md", doc_id="a")
    await api.submit(page("bread"), name="b.md", doc_id="b", refine="off")
    for doc_id, refine in (("a", "heuristic"), ("b", "off")):
        (version,) = (await api.data(f"/v1/documents/{doc_id}/versions"))["items"]
        assert version["refine"] == refine


@pytest.mark.usefixtures("running")
async def test_the_shape_of_trees_comes_with_an_upload_and_stays_with_the_dataset(api: ApiClient) -> None:
    await api.ingest(handbook(3), doc_id="book", levels_cap="1", max_k="9", chunk_size="200")
    tree = await api.data("/v1/datasets/ds/tree")
    assert [level["level"] for level in tree["levels"]] == [2, 1, 0]
    assert (tree["params"]["levels_cap"], tree["params"]["max_k"]) == (1, 9)
    assert (await api.data("/v1/datasets/ds"))["settings"] == {"levels_cap": 1, "max_k": 9}

    await patch(api, {"settings": {"levels_cap": None}})
    await api.ingest(page("salt"), name="salt.md")
    assert (await api.data("/v1/datasets/ds/tree"))["params"]["levels_cap"] is None

    refused: list[dict[str, Any]] = [{"max_k": "0"}, {"levels_cap": "0"}, {"min_k": "10"}]
    for fields in refused:
        assert error_of(await api.upload(name="x.md", **fields)) == (422, "validation_error")
