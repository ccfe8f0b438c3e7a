"""Bad input gets its code, and nothing half-written stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.container import Container
from app.main import create_app
from interfaces_adaptor.http.lingering import MOST_BYTES
from services.domain import DEFAULT_TENANT
from tests.client import ApiClient, error_of

DEEP = "[" * 1_000 + "]" * 1_000


async def nothing_stayed(container: Container) -> bool:
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        jobs = await work.list_jobs(None, 10, status=None, dataset_id=None)
        datasets = await work.list_datasets(None, 10)
    return not jobs and not datasets


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "empty_document", id="empty"),
        pytest.param(b" \n\t \r\n\xe3\x80\x80\n", "empty_document", id="white space alone"),
        pytest.param(b"\xef\xbb\xbf", "empty_document", id="a byte order mark alone"),
        pytest.param("Caf\xe9".encode("latin-1"), "invalid_encoding", id="Latin-1"),
        pytest.param("# Tiêu đề".encode("utf-16"), "invalid_encoding", id="UTF-16 with its mark"),
        pytest.param(b"# A\n\nb\0c\n", "invalid_encoding", id="NUL bytes"),
        pytest.param(b"# A\n\n\xed\xa0\x80\n", "invalid_encoding", id="a surrogate in UTF-8"),
    ],
)
async def test_a_file_that_is_no_text_is_refused(api: ApiClient, container: Container, data: bytes, code: str) -> None:
    assert error_of(await api.upload(data)) == (400, code)
    assert await nothing_stayed(container)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.txt", (400, "unsupported_file_type")),
        ("notes", (400, "unsupported_file_type")),
        ("notes.md.exe", (400, "unsupported_file_type")),
        ("../../notes.md", (422, "validation_error")),
        ("a\\b.md", (422, "validation_error")),
        ("a\u0085b.md", (422, "validation_error")),
        ("n" * 5_000 + ".md", (422, "validation_error")),
    ],
)
async def test_a_file_name_that_is_none_is_refused(
    api: ApiClient, container: Container, name: str, expected: tuple[int, str]
) -> None:
    assert error_of(await api.upload("# A\n", name=name)) == expected
    assert await nothing_stayed(container)


async def test_a_file_of_more_than_the_limit_is_refused(api: ApiClient, container: Container) -> None:
    assert error_of(await api.upload(b"word " * (21 * 1024 * 1024 // 5))) == (413, "file_too_large")
    assert await nothing_stayed(container)


async def test_an_endless_body_is_refused_while_it_streams(api: ApiClient, container: Container) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n'
        while sent < 1_000_000_000:
            sent += 1_000_000
            yield b"a" * 1_000_000

    response = await api.http.post(
        "/v1/document/ingest-markdown",
        content=endless(),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )

    assert error_of(response) == (413, "file_too_large")
    # Refused at 21 MB; a bounded rest is received and dropped, so that the client can read the answer.
    assert sent < 25_000_000 + MOST_BYTES
    assert await nothing_stayed(container)


@pytest.mark.parametrize(
    "extra_meta",
    [
        "not json",
        "[1, 2]",
        '"text"',
        "null",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": "\\ud800"}',
        '{"a": "\\u0000"}',
        '{"a": ' + DEEP + "}",
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": 1, "a": 2}',
        '{"a": "' + "x" * 20_000 + '"}',
    ],
    ids=lambda value: value[:24],
)
async def test_extra_meta_that_a_database_cannot_hold_is_refused(
    api: ApiClient, container: Container, extra_meta: str
) -> None:
    assert error_of(await api.upload(extra_meta=extra_meta)) == (400, "invalid_extra_meta")
    assert await nothing_stayed(container)


@pytest.mark.parametrize(
    ("dataset", "headers", "expected"),
    [
        (None, {}, (400, "missing_dataset_id")),
        ("", {}, (400, "missing_dataset_id")),
        ("one", {"X-Dataset-Id": "two"}, (400, "dataset_id_conflict")),
        ("a\0b", {}, (422, "validation_error")),
        ("a/b", {}, (422, "validation_error")),
        ("x" * 201, {}, (422, "validation_error")),
    ],
)
async def test_the_dataset_has_to_be_named_once_and_well(
    api: ApiClient, container: Container, dataset: str | None, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    assert error_of(await api.upload(dataset=dataset, headers=headers)) == expected
    assert await nothing_stayed(container)


async def test_the_header_alone_and_the_alias_name_the_dataset(api: ApiClient) -> None:
    at_once = {"Prefer": "respond-async"}
    by_header = await api.upload(dataset=None, headers={"X-Dataset-Id": "ds1", **at_once})
    by_alias = await api.upload(dataset=None, database_id="ds2", headers=at_once)
    assert [answer.json()["data"]["dataset_id"] for answer in (by_header, by_alias)] == ["ds1", "ds2"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"summary_llm": "no_such_model"}, "unknown_model"),
        ({"vector_index": "ivfflat"}, "validation_error"),
        ({"upsert_mode": "merge"}, "validation_error"),
        ({"build_tree": "perhaps"}, "validation_error"),
        ({"doc_id": "with space"}, "validation_error"),
        ({"doc_id": "x" * 201}, "validation_error"),
        ({"chunk_size": "1"}, "validation_error"),
        ({"chunk_size": "500", "chunk_overlap": "500"}, "validation_error"),
        ({"source": "a\0b"}, "validation_error"),
        ({"tags": ["fine", "not\0fine"]}, "validation_error"),
        ({"tags": ["t" * 101]}, "validation_error"),
    ],
    ids=str,
)
async def test_a_field_with_a_value_that_is_none_is_refused(
    api: ApiClient, container: Container, fields: dict[str, Any], code: str
) -> None:
    assert error_of(await api.upload(**fields)) == (422, code)
    assert await nothing_stayed(container)


async def test_a_body_that_is_not_multipart_is_refused(api: ApiClient, container: Container) -> None:
    path = "/v1/document/ingest-markdown"
    assert error_of(await api.post(path, json={"dataset_id": "ds"})) == (415, "unsupported_media_type")
    assert error_of(await api.post(path, content=b"dataset_id=ds")) == (415, "unsupported_media_type")
    assert await nothing_stayed(container)


async def test_a_form_without_its_file_or_with_a_broken_body_is_refused(api: ApiClient, container: Container) -> None:
    path = "/v1/document/ingest-markdown"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    without = await api.post(path, files={"other": ("a.md", b"x")}, data={"dataset_id": "ds"})
    broken = await api.post(path, content=b"--x\r\nnonsense", headers=headers)
    no_boundary = await api.post(path, content=b"--x", headers={"content-type": "multipart/form-data"})
    assert error_of(without) == (422, "validation_error")
    assert 400 <= broken.status_code < 500
    assert 400 <= no_boundary.status_code < 500
    assert await nothing_stayed(container)


async def test_a_client_that_hangs_up_halfway_leaves_nothing(container: Container) -> None:
    half = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n# Half of it'
    incoming = iter([{"type": "http.request", "body": half, "more_body": True}, {"type": "http.disconnect"}])
    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/document/ingest-markdown",
        "raw_path": b"/v1/document/ingest-markdown",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
    }

    async def receive() -> Any:
        return next(incoming)

    async def send(_message: Any) -> None:
        return None

    await create_app(container)(scope, receive, send)
    assert await nothing_stayed(container)


async def test_an_error_never_repeats_what_was_sent(api: ApiClient) -> None:
    """The framework's own answer to a wrong form carries the form, and with it a key that somebody brought."""
    canary = "sk-canary-5f2b9c"
    bodies = [
        await api.upload(upsert_mode="merge", byok_openai_api_key=canary),
        await api.post(
            "/v1/document/ingest-markdown", files={"other": ("a", b"x")}, data={"byok_openai_api_key": canary}
        ),
        await api.post("/v1/retrieve", json={"byok_openai_api_key": canary}),
        await api.post("/v1/documents", json={"byok_openai_api_key": canary}),
        await api.post(
            "/v1/documents", content=b'{"byok": "' + canary.encode(), headers={"content-type": "application/json"}
        ),
    ]
    for response in bodies:
        assert 400 <= response.status_code < 500
        assert canary not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dataset_id": "ds"},
        {"dataset_id": "ds", "text": 5},
        {"dataset_id": "ds", "text": "x", "metadata": "x"},
        {"dataset_id": "ds", "text": "x", "mystery": 1},
    ],
    ids=json.dumps,
)
async def test_a_json_document_has_its_form(api: ApiClient, container: Container, body: dict[str, Any]) -> None:
    assert error_of(await api.post("/v1/documents", json=body)) == (422, "validation_error")
    assert await nothing_stayed(container)


async def test_a_json_document_with_half_a_surrogate_pair_is_refused(api: ApiClient, container: Container) -> None:
    body = b'{"dataset_id": "ds", "text": "half \\ud800 of a pair"}'
    response = await api.post("/v1/documents", content=body, headers={"content-type": "application/json"})
    assert error_of(response) == (422, "validation_error")
    assert await nothing_stayed(container)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/nowhere", (404, "not_found")),
        ("/v1/datasets/none", (404, "dataset_not_found")),
        ("/v1/datasets/none/tree", (404, "dataset_not_found")),
        ("/v1/documents/none", (404, "document_not_found")),
        ("/v1/documents?dataset_id=none", (404, "dataset_not_found")),
        ("/v1/documents", (400, "missing_dataset_id")),
        ("/v1/jobs/00000000000000000000000000000000", (404, "job_not_found")),
        ("/v1/jobs/00000000000000000000000000000000/events", (404, "job_not_found")),
        ("/v1/jobs/not-an-id", (422, "validation_error")),
        ("/v1/nodes/00000000000000000000000000000000", (404, "node_not_found")),
        ("/v1/datasets?limit=0", (422, "validation_error")),
        ("/v1/datasets?limit=501", (422, "validation_error")),
        ("/v1/datasets?cursor=nonsense", (422, "validation_error")),
        ("/v1/jobs?cursor=WyIyMDI2IiwgMV0", (422, "validation_error")),
        ("/v1/jobs?status=lost", (422, "validation_error")),
    ],
)
async def test_what_is_not_there_says_so(api: ApiClient, path: str, expected: tuple[int, str]) -> None:
    assert error_of(await api.get(path)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": "x"}, (400, "missing_dataset_id")),
        ({"dataset_id": "none", "query": "x"}, (404, "dataset_not_found")),
        ({"dataset_id": "ds", "query": ""}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": " \n "}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "a\0b"}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x" * 100_000}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "top_k": 0}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "top_k": 1_000}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "mode": "guess"}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "max_tokens": -1}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "filters": "all"}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "filters": {"author": "me"}}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "filters": {"meta.": "me"}}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "filters": {"meta.a": {"b": 1}}}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "filters": {"doc_id": "a\0"}}, (422, "validation_error")),
        ({"dataset_id": "ds", "query": "x", "filters": {"level": -1}}, (422, "validation_error")),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_question_has_its_form(api: ApiClient, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert error_of(await api.post("/v1/retrieve", json=body)) == expected


async def test_a_dataset_with_nothing_embedded_cannot_be_asked(api: ApiClient) -> None:
    await api.submit("# A\n\nText.\n")
    response = await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "text"})
    assert error_of(response) == (400, "embedding_not_ready")
