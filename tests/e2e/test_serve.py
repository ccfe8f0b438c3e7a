"""`raptor serve` as a user runs it: one process tree that comes up, survives the death of its parts, and ends whole."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from interfaces_adaptor.clients.service_client import ServiceClient, ServiceError
from tests.e2e.processes import all_gone, environment, family, run, serving
from tests.factories import handbook, page

pytestmark = pytest.mark.timeout(200)


# With the numerical libraries, in as many processes as there are cores.
AS_IT_COMES = {"RAPTOR_TREE_GROUPER": "umap_gmm", "RAPTOR_WORKER_PROCESSES": "0"}


def eventually(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def test_it_serves_from_an_empty_folder_and_ends_whole(tmp_path: Path) -> None:
    with serving(tmp_path, **AS_IT_COMES) as (url, process), ServiceClient(url) as client:
        answer = client.ingest("ds", "book.md", handbook().encode(), wait_s=None)
        assert answer["status"] == "embedded"
        assert client.retrieve("ds", "honey in the hive")["results"]
        assert client.health()["status"] == "ok"
        members = family(process)
        names = {member.name() for member in members}
        assert "postgres" in names
        assert len(members) > 4
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert all_gone(members)
    assert (tmp_path / ".raptor").is_dir()
    for log in ("serve.log", "worker.log"):
        assert (tmp_path / "logs" / log).stat().st_size > 0
    assert "Traceback" not in (tmp_path / "serve.out").read_text()


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _), ServiceClient(url) as client:
        before = client.ingest("ds", "book.md", handbook().encode(), wait_s=None)
    with serving(tmp_path) as (url, _), ServiceClient(url) as client:
        assert client.dataset("ds")["live_tree"]["tree_id"] == before["tree_id"]
        assert client.ingest("ds", "book.md", handbook().encode(), wait_s=None)["status"] == "unchanged"


def test_a_killed_service_leaves_nothing_running_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, process), ServiceClient(url) as client:
        job = client.ingest("ds", "book.md", handbook(40).encode())["job_id"]
        eventually(lambda: client.job(job)["status"] == "running")
        members = family(process)
        process.kill()
        process.wait()
    assert all_gone(members)
    with serving(tmp_path, RAPTOR_WORKER_DEAD_AFTER_SECONDS="2") as (url, _), ServiceClient(url) as client:
        assert client.wait_for(job, timeout_s=60)["status"] == "succeeded"
        assert client.retrieve("ds", "honey in the hive")["results"]


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, process), ServiceClient(url) as client:
        client.ingest("ds", "book.md", handbook().encode(), wait_s=None)
        workers = [member for member in family(process) if "worker" in member.cmdline()]
        assert len(workers) == 1
        workers[0].kill()
        assert client.ingest("ds", "more.md", page("bees").encode(), wait_s=None)["status"] == "embedded"


def test_a_database_that_dies_is_told_and_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, process), ServiceClient(url) as client:
        client.ingest("ds", "book.md", handbook().encode(), wait_s=None)
        postmaster = next(
            member for member in family(process) if member.name() == "postgres" and member.parent() in family(process)
        )
        codes = set()
        postmaster.send_signal(signal.SIGQUIT)

        def answers_again() -> bool:
            try:
                return bool(client.retrieve("ds", "honey")["results"])
            except ServiceError as error:
                codes.add((error.status, error.code))
                return False

        eventually(answers_again)
        assert codes <= {(503, "database_unavailable")}
        assert client.ingest("ds", "more.md", page("bees").encode(), wait_s=None)["status"] == "embedded"


def test_it_refuses_another_address_until_a_key_exists(tmp_path: Path) -> None:
    refused = run(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1
    assert "raptor keys create" in refused.stderr
    created = run(tmp_path, "keys", "create", "--name", "test")
    secret = created.stdout.strip()
    assert secret.startswith("rpt_")
    with serving(tmp_path, "--host", "0.0.0.0") as (url, _):
        local = url.replace("0.0.0.0", "127.0.0.1")
        with ServiceClient(local) as stranger, pytest.raises(ServiceError) as error:
            stranger.dataset("ds")
        assert error.value.code == "unauthenticated"
        with ServiceClient(local, secret) as friend:
            assert friend.ingest("ds", "a.md", page("bees").encode(), wait_s=None)["status"] == "embedded"
        listed = run(tmp_path, "keys", "list")
        assert secret[:16] in listed.stdout
        assert secret[20:] not in listed.stdout


def test_a_taken_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _):
        other = tmp_path / "other"
        other.mkdir()
        refused = run(other, "serve", "--port", url.rsplit(":", 1)[1])
    assert refused.returncode == 1
    assert "--port 0" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_api_process_never_loads_the_clustering_libraries(tmp_path: Path) -> None:
    with serving(tmp_path, **AS_IT_COMES) as (url, process), ServiceClient(url) as client:
        client.ingest("ds", "book.md", handbook().encode(), wait_s=None)
        client.retrieve("ds", "honey")
        loaded = {path.path for path in psutil.Process(process.pid).memory_maps()}
    assert not [
        path for path in loaded if any(f"/{name}/" in path for name in ("llvmlite", "numba", "sklearn", "scipy"))
    ]


def test_a_wrong_setting_is_told_by_its_name(tmp_path: Path) -> None:
    for name, value in (("RAPTOR_PORT", "many"), ("RAPTOR_TREE_GROUPER", "guess"), ("RAPTOR_CHUNK_OVERLAP", "5000")):
        failed = run(tmp_path, "doctor", **{name: value})  # type: ignore[arg-type]
        assert failed.returncode == 1
        assert "Traceback" not in failed.stderr
        assert "Error" in failed.stderr
    assert environment()["NO_COLOR"]
