"""Settings: read once, from the environment over `.env`; what makes no sense is told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import load_client_settings, load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_environment_wins_over_the_file(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / ".env").write_text("RAPTOR_PORT=9001\nRAPTOR_CHUNK_SIZE=900\n")
    monkeypatch.setenv("RAPTOR_PORT", "9002")
    read = load_settings()
    assert (read.http.port, read.chunk.size) == (9002, 900)


def test_an_empty_value_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "RAPTOR_LOG_FOLDER", "RAPTOR_TREE_LEVELS_CAP", "RAPTOR_OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")
    read = load_settings()
    assert (read.database_url, read.log.folder, read.tree.levels_cap, read.providers.keys) == (None, None, None, {})


def test_the_suffixes_of_markdown_files_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ".mdx" in load_settings().http.file_suffixes
    monkeypatch.setenv("RAPTOR_FILE_SUFFIXES", '[".TXT", ".md"]')
    assert load_settings().http.file_suffixes == (".txt", ".md")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAPTOR_PORT", "70000"),
        ("RAPTOR_CHUNK_OVERLAP", "1200"),
        ("RAPTOR_TREE_GROUPER", "guess"),
        ("RAPTOR_TREE_THRESHOLD", "2"),
        ("RAPTOR_TREE_TOKEN_BUDGET", str(2**70)),
        ("RAPTOR_TREE_DIMENSIONS", "1000000"),
        ("RAPTOR_TREE_MAINTENANCE_PRICE", "1e308"),
        ("RAPTOR_TREE_MAINTENANCE_LAG", "0.6"),
        ("RAPTOR_TREE_MAINTENANCE_REGRET", "nan"),
        ("RAPTOR_MAX_COST", "nan"),
        ("RAPTOR_MAX_CALLS", "0"),
        ("RAPTOR_MAX_UPLOAD_BYTES", "many"),
        ("RAPTOR_REFINE", "sometimes"),
        ("RAPTOR_PAID_RESULTS_PURGE_CRON", "hourly, please"),
        ("RAPTOR_PROVIDER_LIMITS", '{"voyage": {"rpm": 0}}'),
        ("RAPTOR_MODELS_FILE", "missing.toml"),
        ("RAPTOR_FILE_SUFFIXES", "[]"),
        ("RAPTOR_FILE_SUFFIXES", '["md"]'),
        ("RAPTOR_PROVIDER_BASE_URLS", '{"mine": "http://10.0.0.1/v1"}'),
        ("RAPTOR_PROVIDER_BASE_URLS", '{"mine": "https://user:secret@example.org/v1"}'),
    ],
)
def test_a_value_that_makes_no_sense_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as told:
        load_settings()
    named = name if not name.startswith("RAPTOR_TREE_") else "RAPTOR_TREE_"
    assert str(told.value).startswith(named)


def test_a_key_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPTOR_DEEPSEEK_API_KEY", "canary-key-1")
    monkeypatch.setenv("RAPTOR_PROVIDER_KEYS", '{"mine": "canary-key-2"}')
    read = load_settings()
    assert read.providers.keys == {"deepseek": "canary-key-1", "mine": "canary-key-2"}
    assert "canary" not in f"{read!r} {read} {read.model_dump_json()}"


def test_a_copy_with_another_tree_has_its_parameters() -> None:
    settings = load_settings()
    other = settings.model_copy(update={"tree": settings.tree.model_copy(update={"grouper": "contiguous"})})
    assert other.tree_params.grouper == "contiguous"


def test_a_command_finds_its_service_in_the_environment_or_the_file(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / ".env").write_text("RAPTOR_URL=http://file:1\nRAPTOR_API_KEY=canary\nRAPTOR_PORT=many\n")
    read = load_client_settings()
    assert (read.url, read.api_key and read.api_key.get_secret_value()) == ("http://file:1", "canary")
    assert "canary" not in repr(read)
    monkeypatch.setenv("RAPTOR_URL", "http://environment:2")
    assert load_client_settings().url == "http://environment:2"
