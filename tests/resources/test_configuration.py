from pathlib import Path

import pytest
from pydantic import Field

from resources.configuration import Configuration, ConfigurationError, load_configuration, shipped_or_path


class Cup(Configuration):
    size: int = Field(gt=0)
    colour: str


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "cup.yaml"
    file.write_text("size: 0\nhandle: yes\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file, Cup)
    message = str(caught.value)
    assert "size: Input should be greater than 0 (given: 0)" in message
    assert "colour: Field required" in message
    assert "handle: Extra inputs are not permitted" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a\n- b\n", "should hold a mapping"),
        (b"size: [1\n", "is not valid YAML"),
        (b"size: \xff\xfe\n", "cannot be read"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "cup.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_configuration(file, Cup)
    assert "cup.yaml" in str(caught.value)


def test_a_fault_of_form_names_its_place_and_quotes_no_line(tmp_path: Path) -> None:
    file = tmp_path / "cup.yaml"
    file.write_text("size: 1\nkey: sk-secret: more\n")
    with pytest.raises(ConfigurationError, match=r"cup\.yaml, line 2, column \d+: is not valid YAML") as caught:
        load_configuration(file, Cup)
    assert "sk-secret" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_configuration(tmp_path / "none.yaml", Cup)


def test_a_bare_name_means_the_shipped_file(tmp_path: Path) -> None:
    (tmp_path / "blue.yaml").write_text("size: 1\ncolour: blue\n")
    assert shipped_or_path("blue", tmp_path) == tmp_path / "blue.yaml"


def test_an_unknown_name_lists_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "blue.yaml").touch()
    (tmp_path / "red.yaml").touch()
    with pytest.raises(ConfigurationError, match="blue, red"):
        shipped_or_path("green", tmp_path)


class Safe(Configuration):
    inner: dict[str, int] = Field(default_factory=dict)


@pytest.mark.parametrize(
    "content", ["apikey: opensesame\n", "handle: opensesame\n", "inner: {the_token: opensesame}\n"]
)
def test_what_may_be_a_secret_is_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "safe.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file, Safe)
    assert "opensesame" not in str(caught.value)
