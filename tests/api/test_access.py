"""Who may come in: API keys, tenants, and no website through its visitor's browser."""

from __future__ import annotations

import pytest

from app.container import Container
from app.main import create_app
from services.errors import InvalidRequest, NotFound
from tests.client import ApiClient, error_of
from tests.conftest import api_client
from tests.factories import page


async def test_without_keys_this_computer_is_the_default_tenant(api: ApiClient) -> None:
    assert (await api.get("/v1/datasets")).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
async def test_names_of_this_computer_are_served(api: ApiClient, host: str) -> None:
    assert (await api.get("/v1/datasets", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "127.0.0.1.nip.example", ""])
async def test_a_name_that_was_made_to_point_here_is_not(api: ApiClient, host: str) -> None:
    assert error_of(await api.get("/v1/datasets", headers={"host": host})) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost.evil.example"},
    ],
    ids=str,
)
async def test_a_website_cannot_post_through_its_visitors_browser(api: ApiClient, headers: dict[str, str]) -> None:
    assert error_of(await api.upload(page("bees"), headers=headers)) == (403, "forbidden")
    assert (await api.get("/v1/jobs")).json()["data"]["items"] == []


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://localhost:8000"}, {"sec-fetch-site": "same-origin"}], ids=str
)
async def test_our_own_page_and_programs_can(api: ApiClient, headers: dict[str, str]) -> None:
    response = await api.upload(page("bees"), headers={"Prefer": "respond-async", **headers})
    assert response.status_code == 202


async def test_once_a_key_exists_every_call_needs_one(container: Container, api: ApiClient) -> None:
    secret = await container.access.create("default", "test")
    async with api_client(container) as fresh:
        response = await fresh.get("/v1/datasets")
        assert error_of(response) == (401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
        for header in (f"Bearer {secret}", f"bearer  {secret}"):
            assert (await fresh.get("/v1/datasets", headers={"authorization": header})).status_code == 200
        for wrong in (
            secret[:-1],
            secret.upper(),
            "Basic abc",
            "Bearer",
            f"Bearer {secret}x",
            "Bearer rpt_00000000_" + "a" * 43,
        ):
            assert (await fresh.get("/v1/datasets", headers={"authorization": wrong})).status_code == 401
        for open_path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert (await fresh.get(open_path)).status_code == 200


async def test_only_a_hash_of_a_key_is_stored(container: Container, database_url: str) -> None:
    import asyncpg

    secret = await container.access.create("default", "test")
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("select row_to_json(k)::text as row from api_keys k")
    finally:
        await connection.close()
    assert len(rows) == 1
    assert secret[17:] not in rows[0]["row"]
    assert secret[:12] in rows[0]["row"]


async def test_a_revoked_key_opens_nothing(container: Container) -> None:
    secret = await container.access.create("default", "test")
    await container.access.create("default", "another")
    (key,) = [key for key in await container.access.all() if key.name == "test"]
    await container.access.revoke(key.key_id)
    async with api_client(container, authorization=f"Bearer {secret}") as client:
        assert (await client.get("/v1/datasets")).status_code == 401
    with pytest.raises(NotFound):
        await container.access.revoke(key.key_id)


async def test_a_tenants_name_has_its_form(container: Container) -> None:
    with pytest.raises(InvalidRequest):
        await container.access.create("a/b", "test")


@pytest.mark.usefixtures("running")
async def test_tenants_do_not_see_each_other(container: Container) -> None:
    keys = {tenant: await container.access.create(tenant, "test") for tenant in ("one", "two")}
    async with (
        api_client(container, authorization=f"Bearer {keys['one']}") as one,
        api_client(container, authorization=f"Bearer {keys['two']}") as two,
    ):
        first = await one.ingest(page("bees"), doc_id="same")
        await two.ingest(page("clocks"), doc_id="same")

        assert "honey" in (await one.data("/v1/documents/same"))["text"]
        assert "pendulum" in (await two.data("/v1/documents/same"))["text"]
        assert all("honey" not in hit["text"] for hit in (await two.retrieve("honey"))["results"])
        node = (await one.data("/v1/datasets/ds/tree"))["root_id"]
        for path in (f"/v1/jobs/{first['job_id']}", f"/v1/jobs/{first['job_id']}/events", f"/v1/nodes/{node}"):
            assert (await one.get(path)).status_code == 200
            assert (await two.get(path)).status_code == 404
        assert (await two.post(f"/v1/jobs/{first['job_id']}/cancel")).status_code == 404
        await one.delete("/v1/datasets/ds")
        assert (await two.get("/v1/datasets/ds")).status_code == 200


async def test_a_service_that_others_reach_answers_nobody_without_a_key(container: Container) -> None:
    """It refuses to start so; this is for keys that are revoked while it runs."""
    settings = container.settings.model_copy(
        update={"http": container.settings.http.model_copy(update={"host": "0.0.0.0"})}
    )
    opened = Container(settings, container.engine, container.services, container.access, container.health)
    async with api_client(opened) as client:
        assert error_of(await client.get("/v1/datasets")) == (401, "unauthenticated")


async def test_every_answer_carries_an_id_and_takes_a_good_one_over(api: ApiClient) -> None:
    assert len((await api.get("/v1/datasets")).headers["x-request-id"]) == 32
    assert (await api.get("/nowhere", headers={"x-request-id": "my-id-1"})).headers["x-request-id"] == "my-id-1"
    for bad in ("a" * 65, "a b", "a;b"):
        assert (await api.get("/v1/datasets", headers={"x-request-id": bad})).headers["x-request-id"] != bad


async def test_the_api_page_loads_nothing_from_outside(api: ApiClient) -> None:
    page_of_api = await api.get("/docs")
    assert page_of_api.status_code == 200
    assert "http://" not in page_of_api.text
    assert "https://" not in page_of_api.text
    assert "script-src 'self'" in page_of_api.headers["content-security-policy"]
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert (await api.get(f"/docs/{name}")).status_code == 200
    assert (await api.get("/docs/../../etc/passwd")).status_code == 404


async def test_a_defect_is_told_without_its_insides(container: Container) -> None:
    app = create_app(container)
    assert app is not None
    async with api_client(container) as client:
        # A tree of which a table has vanished is nothing that code could foresee.
        async with container.engine.begin() as connection:
            from sqlalchemy import text

            await connection.execute(text("drop table tree_node_chunks, tree_edges, tree_nodes, api_keys cascade"))
        response = await client.get("/v1/datasets")
        assert error_of(response) == (500, "internal_error")
        assert "api_keys" not in response.text
