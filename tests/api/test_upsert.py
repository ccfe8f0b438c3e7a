"""The three ways to send a document that may be there already."""

from __future__ import annotations

import pytest

from tests.client import ApiClient
from tests.factories import TOPICS, page

pytestmark = pytest.mark.usefixtures("running")


async def test_the_same_document_sent_again_is_unchanged_and_starts_no_work(api: ApiClient) -> None:
    first = await api.ingest(page("bees"))
    again = await api.ingest(page("bees"))

    assert again["status"] == "unchanged"
    assert again["job_id"] is None
    assert again["doc_id"] == first["doc_id"]
    assert again["tree_id"] == first["tree_id"]
    assert again["chunks"] == first["chunks"]
    assert again["indexed"] == {"upserted": 0}
    assert len((await api.data("/v1/jobs"))["items"]) == 2  # the upload and its build


async def test_changed_content_is_a_new_version_that_takes_over(api: ApiClient) -> None:
    first = await api.ingest(page("bees"))
    second = await api.ingest(page("clocks"))

    assert second["doc_id"] == first["doc_id"]
    assert second["status"] == "embedded"
    versions = (await api.data(f"/v1/documents/{first['doc_id']}/versions"))["items"]
    assert [(version["number"], version["state"]) for version in versions] == [(2, "ready"), (1, "superseded")]
    assert (await api.data(f"/v1/documents/{first['doc_id']}"))["text"] == page("clocks")
    found = await api.retrieve("bees honey hive queen", top_k=50)
    assert not [hit for hit in found["results"] if "honey" in hit["text"]]


async def test_unchanged_chunks_keep_their_vectors_when_a_document_changes(api: ApiClient) -> None:
    book = "\n".join(page(topic, 3 + number) for number, topic in enumerate(TOPICS))
    await api.ingest(book)
    changed = await api.ingest(book + "\n# One more\n\nA last sentence about smoke.\n")

    usage = (await api.job(changed["job_id"]))["usage"]
    assert 0 < changed["chunks"] - usage["cache_hits"] <= 3


async def test_replace_processes_an_unchanged_document_again(api: ApiClient) -> None:
    first = await api.ingest(page("bees"))
    again = await api.ingest(page("bees"), upsert_mode="replace")

    assert again["status"] == "embedded"
    assert again["doc_id"] == first["doc_id"]
    assert again["version_id"] != first["version_id"]


async def test_skip_duplicates_names_the_document_that_has_the_content(api: ApiClient) -> None:
    first = await api.ingest(page("bees"), name="first.md")
    skipped = await api.ingest(page("bees"), name="second.md", upsert_mode="skip_duplicates")
    other = await api.ingest(page("clocks"), name="third.md", upsert_mode="skip_duplicates")

    assert (skipped["status"], skipped["doc_id"]) == ("skipped", first["doc_id"])
    assert other["status"] == "embedded"
    assert len((await api.data("/v1/documents", dataset_id="ds"))["items"]) == 2


async def test_identity_is_the_clients_id_else_the_source_else_the_file_name(api: ApiClient) -> None:
    by_name = await api.ingest(page("bees"), name="a.md")
    by_source = await api.ingest(page("bees"), name="a.md", source="docs/a.md")
    by_id = await api.ingest(page("bees"), name="a.md", source="docs/a.md", doc_id="my-id")

    assert len({by_name["doc_id"], by_source["doc_id"], by_id["doc_id"]}) == 3
    assert by_id["doc_id"] == "my-id"
    for fields, known in (
        ({"name": "a.md"}, by_name),
        ({"name": "other.md", "source": "docs/a.md"}, by_source),
        ({"name": "other.md", "doc_id": "my-id"}, by_id),
        ({"name": "other.md", "doc_id": by_name["doc_id"]}, by_name),
    ):
        again = await api.ingest(page("bees"), **fields)
        assert (again["status"], again["doc_id"]) == ("unchanged", known["doc_id"])


async def test_other_parameters_are_another_processing(api: ApiClient) -> None:
    first = await api.ingest(page("bees", 20))
    again = await api.ingest(page("bees", 20), chunk_size="400", chunk_overlap="50")

    assert again["status"] == "embedded"
    assert again["chunks"] > first["chunks"]
    version = (await api.data(f"/v1/documents/{first['doc_id']}/versions"))["items"][0]
    assert (version["chunk_size"], version["chunk_overlap"]) == (400, 50)


async def test_tags_and_meta_are_brought_up_to_date_with_unchanged_content(api: ApiClient) -> None:
    first = await api.ingest(page("bees"), tags=["old"])
    again = await api.ingest(page("bees"), tags=["new", "newer"], extra_meta='{"author": "Oda"}')

    assert again["status"] == "unchanged"
    document = await api.data(f"/v1/documents/{first['doc_id']}")
    assert document["tags"] == ["new", "newer"]
    assert document["extra_meta"] == {"author": "Oda"}


async def test_without_a_tree_the_document_is_found_and_a_later_upload_puts_it_into_one(api: ApiClient) -> None:
    flat = await api.ingest(page("bees"), build_tree="false")
    assert flat["status"] == "embedded"
    assert flat["tree_id"] is None
    assert (await api.retrieve("honey", mode="leaves"))["results"]

    treed = await api.ingest(page("bees"))
    assert treed["tree_id"] is not None
    assert treed["version_id"] == flat["version_id"]
