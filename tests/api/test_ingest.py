"""The main job: an uploaded Markdown file becomes a live tree."""

from __future__ import annotations

import hashlib

import pytest

from tests.client import ApiClient

TEXT = "# Boats\n\nThe ketch has two masts. The sloop has one mast.\n\n## Sails\n\nA gaff sail hangs from a spar.\n"


@pytest.mark.usefixtures("running")
async def test_an_upload_answers_when_its_document_is_in_a_live_tree(api: ApiClient) -> None:
    response = await api.upload(TEXT)

    assert response.status_code == 200, response.text
    body = response.json()
    assert body["code"] == 200
    data = body["data"]
    assert data["status"] == "embedded"
    assert data["dataset_id"] == "ds"
    assert data["chunks"] >= 1
    assert data["indexed"] == {"upserted": data["chunks"]}
    assert data["checksum"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert data["tree_id"].endswith("::tree")
    assert (await api.data("/v1/datasets/ds"))["live_tree"]["tree_id"] == data["tree_id"]
