"""The house itself: what its documents say of it is so, and nothing grows past what a reader can hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import ClientSettings, Settings, SettingsGroup, environment_name, groups_of

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "app", "interfaces_adaptor", "infra", "services", "utils", "constants", "embedded_postgres", "fake_provider",
)  # fmt: skip
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 400, 60
README = (ROOT / "README.md").read_text(encoding="utf-8")


def modules() -> list[Path]:
    return [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def folders_in(text: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)/`", text))


def test_the_readme_names_every_folder_and_no_other() -> None:
    told = folders_in(README.split("## How it is built")[1].split("An upload travels")[0])
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    there = {line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    if there:  # an unpacked archive has no list of files
        assert told == there - {"samples", "logs"}
    assert all((ROOT / folder).is_dir() for folder in told)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "Database.md", *(
    str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))
)])  # fmt: skip
def test_what_a_document_points_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", text)]
    assert [link for link in links if not (ROOT / document).parent.joinpath(link).exists()] == []
    files = re.findall(rf"`((?:{'|'.join(PACKAGES)}|tests|bench)/[\w/]+\.\w+)`", text)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_registries_that_contributors_are_sent_to_are_there() -> None:
    told = re.findall(r"`([A-Z_]+)` in `([\w/]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(told) >= 6
    for name, file in told:
        assert re.search(rf"^{name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (name, file)


def test_a_file_and_a_function_fit_a_readers_head() -> None:
    long_files = {
        str(module): lines
        for module in modules()
        if (lines := len((ROOT / module).read_text(encoding="utf-8").splitlines())) > LINES_OF_A_FILE
    }
    long_functions = {
        f"{module}:{function.name}": lines
        for module in modules()
        for function in functions(module)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LINES_OF_A_FUNCTION
    }
    assert (long_files, long_functions) == ({}, {})


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(module)
        for module in modules()
        if not ast.get_docstring(ast.parse((ROOT / module).read_text(encoding="utf-8")))
        and (ROOT / module).read_text(encoding="utf-8").strip()
    ]
    assert silent == []


def test_the_environment_is_read_in_one_place() -> None:
    """Elsewhere only whole environments are handed to child processes."""
    readers = {
        str(module)
        for module in modules()
        if re.search(r"os\.(environ(\[|\.)|getenv)", (ROOT / module).read_text(encoding="utf-8"))
    }
    assert readers == set()


def names_of_settings() -> set[str]:
    return {
        environment_name(group, name)
        for kind in (Settings, ClientSettings)
        for group in groups_of(kind)
        for name, field in group.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, SettingsGroup))
    }


def test_every_setting_stands_in_the_example_and_nothing_else() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    told = set(re.findall(r"^#([A-Z_]+)=", example, re.MULTILINE))
    assert told == names_of_settings()


def test_a_message_names_no_setting_that_there_is_not() -> None:
    """A name that ends in an underscore stands for several."""
    named = {
        name
        for module in modules()
        for name in re.findall(r"\bRAPTOR_[A-Z_]+", (ROOT / module).read_text(encoding="utf-8"))
        if not name.endswith("_")
    }
    assert len(named) > 10
    assert named - names_of_settings() == set()


def test_the_defaults_in_the_example_are_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Copied and all switched on, apart from what has no default, it changes nothing."""
    examples_only = ("DATABASE_URL", "RAPTOR_ALLOWED_HOSTS", "RAPTOR_PROVIDER_", "RAPTOR_URL", "RAPTOR_DEFAULT_")
    lines = re.findall(r"^#([A-Z_]+=.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    for name in names_of_settings():
        monkeypatch.delenv(name, raising=False)
    before = Settings()
    (tmp_path / ".env").write_text("\n".join(line for line in lines if not line.startswith(examples_only)))
    assert Settings() == before


def test_alembic_is_the_library_and_not_our_folder() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
    found = subprocess.run(
        [sys.executable, "-c", "import alembic.command; print(alembic.command.__file__)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not Path(found.strip()).is_relative_to(ROOT / "alembic")


def test_the_api_process_does_not_load_what_only_workers_need() -> None:
    """Compilers and numerical engines cost hundreds of megabytes and seconds of start."""
    heavy = "('umap', 'numba', 'llvmlite', 'sklearn', 'scipy', 'pynndescent')"
    code = f"import sys, app.main, app.container; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_what_filters_let_through_is_told_alike_in_every_statement() -> None:
    """Each statement stands whole in its file, to be read and run as it is: so the same lines stand in several."""
    statements = sorted((ROOT / "interfaces_adaptor/repositories/statements").glob("*.sql"))
    for name in ("allowed", "outside"):
        part = re.compile(rf"{name} as materialized \(\n.*?\n\)", re.DOTALL)
        told = [found[0] for path in statements if (found := part.search(path.read_text(encoding="utf-8")))]
        assert len(told) > 5
        assert len(set(told)) == 1
