"""The description of the API: whole, right, and shown without anything from outside."""

from __future__ import annotations

import re

from tests.client import ApiClient

PROMISED = {
    ("post", "/v1/document/ingest-markdown"),
    ("post", "/v1/documents"),
    ("get", "/v1/documents"),
    ("get", "/v1/documents/{doc_id}"),
    ("get", "/v1/documents/{doc_id}/versions"),
    ("get", "/v1/documents/{doc_id}/chunks"),
    ("delete", "/v1/documents/{doc_id}"),
    ("get", "/v1/datasets"),
    ("get", "/v1/datasets/{dataset_id}"),
    ("delete", "/v1/datasets/{dataset_id}"),
    ("get", "/v1/datasets/{dataset_id}/tree"),
    ("post", "/v1/datasets/{dataset_id}/rebuild"),
    ("get", "/v1/nodes/{node_id}"),
    ("get", "/v1/jobs"),
    ("get", "/v1/jobs/{job_id}"),
    ("get", "/v1/jobs/{job_id}/events"),
    ("post", "/v1/jobs/{job_id}/cancel"),
    ("post", "/v1/jobs/{job_id}/retry"),
    ("get", "/v1/queue/stats"),
    ("get", "/v1/index/stats"),
    ("post", "/v1/retrieve"),
    ("get", "/v1/health"),
    ("patch", "/v1/documents/{doc_id}"),
    ("post", "/v1/documents/delete"),
    ("put", "/v1/datasets/{dataset_id}"),
    ("patch", "/v1/datasets/{dataset_id}"),
    ("get", "/v1/webhooks"),
    ("post", "/v1/webhooks"),
    ("delete", "/v1/webhooks/{webhook_id}"),
    ("get", "/v1/webhooks/{webhook_id}/deliveries"),
}


async def test_every_endpoint_is_described_with_its_errors_in_the_one_shape(api: ApiClient) -> None:
    described = (await api.get("/openapi.json")).json()
    there = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert there >= PROMISED
    for path, methods in described["paths"].items():
        for method, endpoint in methods.items():
            assert endpoint.get("summary"), (method, path)
            if path.startswith("/v1/"):
                for status in ("400", "401", "404", "422", "503"):
                    for described_as in endpoint["responses"][status]["content"].values():
                        assert described_as["schema"]["$ref"].endswith("/ErrorEnvelope"), (method, path, status)


async def test_a_field_of_the_main_upload_is_described(api: ApiClient) -> None:
    described = (await api.get("/openapi.json")).json()
    body = described["paths"]["/v1/document/ingest-markdown"]["post"]["requestBody"]["content"]["multipart/form-data"]
    schema = body["schema"]
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert set(schema["properties"]) >= {
        "file", "dataset_id", "doc_id", "source", "tags", "extra_meta", "build_tree", "summary_llm", "vector_index",
        "upsert_mode", "byok_openai_api_key", "byok_azure_openai", "byok_cohere_api_key", "byok_huggingface_token",
        "byok_dashscope_api_key", "byok_gemini_api_key", "byok_voyage_api_key", "byok_deepseek_api_key",
    }  # fmt: skip
    assert schema["required"] == ["file"]


async def test_the_page_loads_nothing_from_outside(api: ApiClient) -> None:
    shown = (await api.get("/docs")).text
    loaded = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", shown)
    assert loaded
    assert [address for address in loaded if "//" in address] == []
    for address in (one for one in loaded if not one.startswith("data:")):
        assert (await api.get(address)).status_code == 200, address


async def test_every_schema_has_a_name_of_its_own(api: ApiClient) -> None:
    """Two of one name are told apart by their modules, and generators of clients then drop what they cannot name."""
    schemas = (await api.get("/openapi.json")).json()["components"]["schemas"]
    assert [name for name in schemas if name.startswith(("interfaces_adaptor__", "services__"))] == []
    assert {"TreeLevelOut", "EstimatedLevelOut"} <= set(schemas)


async def test_a_jobs_events_are_described_as_a_stream(api: ApiClient) -> None:
    described = (await api.get("/openapi.json")).json()
    answer = described["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]
    assert set(answer["content"]) == {"text/event-stream", "application/x-ndjson"}
