"""Starting costs what is used: commands and processes import no library that they do not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "asyncpg", "alembic", "procrastinate", "psycopg"}
MODELS = {"openai", "voyageai", "aiohttp", "numpy", "umap", "numba", "llvmlite", "sklearn", "scipy", "pynndescent"}
# Not markdown-it: rich renders the help texts with it.
TEXT = {"langchain_text_splitters", "cryptography", "structlog"}
# A command without its service says so; up to there it has imported all that it needs.
NOBODY = ["--url", "http://127.0.0.1:9"]


def imported(program: str, folder: Path, *arguments: str) -> set[str]:
    """The top-level modules that a process has loaded at its end, whichever way it ends."""
    code = f"import sys, atexit; atexit.register(lambda: print('MODULES', *sys.modules)); {program}"
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr, ran.stderr
    loaded = next(line for line in ran.stdout.splitlines() if line.startswith("MODULES"))
    return {name.partition(".")[0] for name in loaded.split()}


def run_command(folder: Path, *arguments: str) -> set[str]:
    return imported("from app.cli import main; main()", folder, *arguments)


def test_help_needs_no_server_no_model_and_no_settings(tmp_path: Path) -> None:
    loaded = run_command(tmp_path, "--help")
    assert "typer" in loaded
    assert loaded & (SERVER | MODELS | TEXT | {"pydantic", "services", "infra"}) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", ".", *NOBODY],
        ["retrieve", "question", *NOBODY],
        ["ask", "question", *NOBODY],
        ["tree", *NOBODY],
        ["jobs", *NOBODY],
        ["retry-nodes", "ds", *NOBODY],
        ["usage", *NOBODY],
        ["estimate", "a.md", *NOBODY],
        ["sync", ".", *NOBODY],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_a_command_that_uses_a_service_imports_none(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.md").write_text("# Bees\n\nThey make honey.\n")
    loaded = run_command(tmp_path, *arguments)
    assert "httpx2" in loaded
    assert loaded & (SERVER | MODELS | TEXT) == set()


@pytest.mark.parametrize("command", ["serve", "worker", "keys", "doctor", "purge", "demo", "eval", "fake-provider"])
def test_the_help_of_any_command_is_as_light(tmp_path: Path, command: str) -> None:
    assert run_command(tmp_path, command, "--help") & (SERVER | MODELS | TEXT) == set()


def test_the_api_process_loads_no_sdk_and_no_engine(tmp_path: Path) -> None:
    """Until a model of a provider is called, a schema has to be migrated, or a worker groups nodes."""
    loaded = imported("import app.serve, app.database, app.logging", tmp_path)
    assert {"fastapi", "uvicorn", "sqlalchemy"} <= loaded
    not_needed = (MODELS - {"numpy"}) | {"alembic"}
    assert loaded & not_needed == set()
