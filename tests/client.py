"""The API as tests speak to it: short calls that keep the whole answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2

TERMINAL = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class ApiClient:
    http: httpx2.AsyncClient

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.get(path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.post(path, **options)

    async def delete(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.delete(path, **options)

    async def upload(
        self,
        text: str | bytes = "# Title\n\nSome text.\n",
        *,
        name: str = "notes.md",
        dataset: str | None = "ds",
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> httpx2.Response:
        data = text.encode() if isinstance(text, str) else text
        form = {**({} if dataset is None else {"dataset_id": dataset}), **fields}
        return await self.http.post(
            "/v1/document/ingest-markdown",
            data=form,
            files={"file": (name, data, "text/markdown")},
            headers=headers or {},
        )

    async def ingest(self, text: str, **options: Any) -> dict[str, Any]:
        """Uploads and waits for the live tree."""
        response = await self.upload(text, **options)
        assert response.status_code == 200, response.text
        return dict(response.json()["data"])

    async def submit(self, text: str, **options: Any) -> dict[str, Any]:
        """Uploads without waiting."""
        response = await self.upload(text, headers={"Prefer": "respond-async"}, **options)
        assert response.status_code == 202, response.text
        return dict(response.json()["data"])

    async def job(self, job_id: str) -> dict[str, Any]:
        return dict((await self.get(f"/v1/jobs/{job_id}")).json()["data"])

    async def finished(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while (job := await self.job(job_id))["status"] not in TERMINAL:
                await asyncio.sleep(0.05)
        return job

    async def stage(self, job_id: str, stage: str, seconds: float = 60) -> dict[str, Any]:
        """The job once it has come to this stage."""
        async with asyncio.timeout(seconds):
            while (job := await self.job(job_id))["stage"] != stage:
                assert job["status"] not in TERMINAL, job
                await asyncio.sleep(0.05)
        return job

    async def retrieve(self, query: str, *, dataset: str = "ds", **options: Any) -> dict[str, Any]:
        response = await self.post("/v1/retrieve", json={"dataset_id": dataset, "query": query, **options})
        assert response.status_code == 200, response.text
        return dict(response.json()["data"])

    async def data(self, path: str, **params: Any) -> dict[str, Any]:
        response = await self.get(path, params=params)
        assert response.status_code == 200, response.text
        return dict(response.json()["data"])


def error_of(response: httpx2.Response) -> tuple[int, str]:
    """Status and code of an error in the one shape that all have."""
    body = response.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"code", "message", "details"}, body
    assert body["error"]["message"]
    assert response.headers["x-request-id"]
    return response.status_code, body["error"]["code"]
