"""A client of this service's own API, for the command line, for tests and for whoever builds on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

TERMINAL = {"succeeded", "failed", "cancelled"}
REREAD_S = 1.0
AS_LINES = {"Accept": "application/x-ndjson"}


class ServiceError(Exception):
    """The service answered with an error: `code` and `details` are the answer's."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(f"{message} [{code}]")
        self.status = status
        self.code = code
        self.message = message
        self.details = details


class ServiceUnreachable(Exception):
    """Nobody answers at this address."""


class ServiceClient:
    """Blocking; one connection pool. `timeout_s` bounds a single answer, not the work that it stands for."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Proxies of the environment have no business between a machine and its own service.
        self._http = httpx2.Client(
            base_url=base_url, headers=headers, timeout=timeout_s, transport=transport, trust_env=False
        )
        self.base_url = base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ingest(
        self,
        dataset_id: str,
        file_name: str,
        data: bytes,
        *,
        wait_s: float | None = 0.0,
        tags: Sequence[str] = (),
        **fields: str | None,
    ) -> dict[str, Any]:
        """One Markdown file. By default it answers at once with the job; `wait_s=None` waits for the live tree."""
        form = {"dataset_id": dataset_id, **{name: value for name, value in fields.items() if value is not None}}
        headers = {} if wait_s is None else {"Prefer": f"wait={int(wait_s)}" if wait_s else "respond-async"}
        return self._data(
            "POST",
            "/v1/document/ingest-markdown",
            data=form | ({"tags": list(tags)} if tags else {}),
            files={"file": (file_name, data, "text/markdown")},
            headers=headers,
            timeout=None if wait_s is None else 60.0 + wait_s,
        )

    def begin_upload(self, dataset_id: str, **options: Any) -> str:
        """An upload of many documents; nothing of it is visible before its commit."""
        begun = self._data("POST", f"/v1/datasets/{dataset_id}/uploads", json=options)
        return str(begun["upload_id"])

    def add_to_upload(
        self, upload_id: str, file_name: str, data: bytes, *, tags: Sequence[str] = (), **fields: str | None
    ) -> dict[str, Any]:
        """Without tags a document keeps those that it has."""
        form = {name: value for name, value in fields.items() if value is not None}
        return self._data(
            "POST",
            f"/v1/uploads/{upload_id}/documents",
            data=form | ({"tags": list(tags)} if tags else {}),
            files={"file": (file_name, data, "text/markdown")},
        )

    def commit_upload(self, upload_id: str, **options: Any) -> dict[str, Any]:
        """One job for all its documents; `job_id` is None where nothing is to be done. `delete` and `move` change
        documents with it."""
        return self._data("POST", f"/v1/uploads/{upload_id}/commit", json=options, timeout=None)

    def discard_upload(self, upload_id: str) -> None:
        self._http.delete(f"/v1/uploads/{upload_id}")

    def retrieve(self, dataset_id: str, query: str, **options: Any) -> dict[str, Any]:
        return self._data("POST", "/v1/retrieve", json={"dataset_id": dataset_id, "query": query, **options})

    def ask(self, dataset_id: str, query: str, **options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of an answer as they come, the last one `done`. Raises ServiceError, and for one that comes in
        the middle with status 200."""
        body = {"dataset_id": dataset_id, "query": query, **options}
        try:
            with self._http.stream("POST", "/v1/answer", json=body, headers=AS_LINES) as response:
                if not response.is_success:
                    response.read()
                    raise service_error(response)
                # An empty line keeps the connection open.
                for event in (json.loads(line) for line in response.iter_lines() if line):
                    told = event["data"]
                    if event["event"] == "error":
                        raise ServiceError(response.status_code, told["code"], told["message"], told["details"])
                    yield event["event"], told
        except httpx2.TransportError as error:
            raise ServiceUnreachable(f"{self.base_url} does not answer ({type(error).__name__}).") from error

    def rebuild(self, dataset_id: str, **options: Any) -> dict[str, Any]:
        return self._data("POST", f"/v1/datasets/{dataset_id}/rebuild", json=options)

    def estimate(self, dataset_id: str, **options: Any) -> dict[str, Any]:
        """What an ingest of `documents`, or without them a rebuild, would cost."""
        return self._data("POST", f"/v1/datasets/{dataset_id}/estimate", json=options)

    def usage(self, **options: Any) -> dict[str, Any]:
        return self._data("GET", "/v1/usage", params=options)

    def retry_nodes(self, dataset_id: str, **options: Any) -> dict[str, Any]:
        return self._data("POST", f"/v1/datasets/{dataset_id}/retry-nodes", json=options)

    def dataset(self, dataset_id: str) -> dict[str, Any]:
        return self._data("GET", f"/v1/datasets/{dataset_id}")

    def datasets(self) -> Iterator[dict[str, Any]]:
        return self._pages("/v1/datasets")

    def generations(self, dataset_id: str) -> Iterator[dict[str, Any]]:
        """What was live, newest first."""
        return self._pages(f"/v1/datasets/{dataset_id}/generations")

    def roll_back(self, dataset_id: str, generation: int) -> dict[str, Any]:
        return self._data("POST", f"/v1/datasets/{dataset_id}/rollback", json={"generation": generation})

    def documents(self, dataset_id: str) -> Iterator[dict[str, Any]]:
        return self._pages("/v1/documents", dataset_id=dataset_id, limit=500)

    def document(self, doc_id: str, dataset_id: str) -> dict[str, Any]:
        return self._data("GET", f"/v1/documents/{doc_id}", params={"dataset_id": dataset_id})

    def delete_document(self, doc_id: str, dataset_id: str, *, hard: bool = False) -> dict[str, Any]:
        """Out of retrieval at once; `hard` erases the text and all that was written from it, for good."""
        options = {"dataset_id": dataset_id, "hard": hard}
        return self._data("DELETE", f"/v1/documents/{doc_id}", params=options)

    def undelete_document(self, doc_id: str, dataset_id: str) -> dict[str, Any]:
        """Brings back what was deleted and not erased."""
        return self._data("POST", f"/v1/documents/{doc_id}/undelete", params={"dataset_id": dataset_id})

    def tree(self, dataset_id: str, *, limit: int = 100, **options: Any) -> dict[str, Any]:
        return self._data("GET", f"/v1/datasets/{dataset_id}/tree", params={"limit": limit, **options})

    def tree_nodes(self, dataset_id: str, **options: Any) -> Iterator[dict[str, Any]]:
        return self._pages(f"/v1/datasets/{dataset_id}/tree", limit=500, **options)

    def node(self, node_id: str) -> dict[str, Any]:
        return self._data("GET", f"/v1/nodes/{node_id}")

    def jobs(self, *, limit: int = 100, **options: Any) -> list[dict[str, Any]]:
        return list(self._data("GET", "/v1/jobs", params={"limit": limit, **options})["items"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self._data("GET", f"/v1/jobs/{job_id}")

    def cancel(self, job_id: str) -> dict[str, Any]:
        return self._data("POST", f"/v1/jobs/{job_id}/cancel")

    def retry(self, job_id: str, **budget: float) -> dict[str, Any]:
        return self._data("POST", f"/v1/jobs/{job_id}/retry", json=budget)

    def wait_for(self, job_id: str, *, timeout_s: float = 3600.0) -> dict[str, Any]:
        """The job once it has ended, however it did. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while (job := self.job(job_id))["status"] not in TERMINAL:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} is still {job['status']} ({job['stage']})")
            self._until_it_ends(job_id, deadline)
        return job

    def _until_it_ends(self, job_id: str, deadline: float) -> None:
        """Follows the job's events to their end, or to the deadline, give or take a line that keeps them open."""
        # Where events are cut off or held back on their way, the job is asked for again, in peace.
        earliest = time.monotonic() + REREAD_S
        timeout = httpx2.Timeout(60.0, read=min(60.0, max(deadline - time.monotonic(), 0.1)))
        try:
            with self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=AS_LINES, timeout=timeout) as response:
                for line in response.iter_lines() if response.is_success else ():
                    if time.monotonic() > deadline:
                        return
                    if line and json.loads(line)["event"] in ("done", "error"):
                        return
        except httpx2.TransportError:
            pass
        time.sleep(max(0.0, min(earliest, deadline) - time.monotonic()))

    def health(self) -> dict[str, Any]:
        return self._data("GET", "/v1/health")

    def alive(self) -> bool:
        try:
            return self._http.get("/healthz", timeout=2.0).status_code == 200
        except httpx2.HTTPError:
            return False

    def _pages(self, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self._data("GET", path, params={**options, **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _data(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Raises ServiceError, ServiceUnreachable."""
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise ServiceUnreachable(f"{self.base_url} does not answer ({type(error).__name__}).") from error
        if response.is_success:
            answer: dict[str, Any] = response.json()["data"]
            return answer
        raise service_error(response)


def service_error(response: httpx2.Response) -> ServiceError:
    try:
        found = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        found = {"code": "unknown", "message": response.text[:200], "details": {}}
    return ServiceError(response.status_code, found["code"], found["message"], found["details"])
