import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from resources.configuration import (
    Configuration,
    ConfigurationError,
    RelativeAddress,
    RelativePath,
    load_configuration,
    shipped_or_path,
)


class Cup(Configuration):
    size: int = Field(gt=0)
    colour: str


def bomb(levels: int) -> bytes:
    """YAML whose aliases stand for 10^levels values."""
    lines = ["a0: &a0 x", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels + 1))]
    return "\n".join([*lines, f"size: *a{levels}"]).encode()


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "cup.yaml"
    file.write_text("size: 0\nhandle: yes\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file, Cup)
    message = str(caught.value)
    assert "size: Input should be greater than 0 (given: 0)" in message
    assert "colour: has to be given" in message
    assert "handle: there is no such key (keys here: size, colour)" in message


class Mug(Configuration):
    kind: Literal["mug"]
    handle: str = ""


class Glass(Configuration):
    kind: Literal["glass"]
    stem: str = ""


class Box(Configuration):
    labels: tuple[Annotated[str, Field(pattern="^[a-z]+$")], ...] = Field(description="Small letters, such as `box`.")


def test_a_text_of_another_form_is_explained_by_its_fields_description(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text("labels: [good, B]")
    with pytest.raises(
        ConfigurationError, match=r"labels\.1: .* should be: Small letters, such as `box`. \(given: 'B'\)"
    ):
        load_configuration(file, Box)


class Shelf(Configuration):
    best: Cup | None = None
    cups: tuple[Cup, ...] = ()
    by_owner: dict[str, Cup] = Field(default_factory=dict)
    other: list[Annotated[Mug | Glass, Field(discriminator="kind")]] = Field(default_factory=list)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("besst: {}", "besst: there is no such key; is best meant? (keys here: best, cups, by_owner, other)"),
        ("best: {sise: 1}", "best.sise: there is no such key; is size meant? (keys here: size, colour)"),
        ("cups: [{color: red}]", "cups.0.color: there is no such key; is colour meant? (keys here: size, colour)"),
        ("by_owner: {me: {clor: red}}", "by_owner.me.clor: there is no such key; is colour meant?"),
        (
            "other: [{handle: x}]",
            "other.0.kind: has to be given",
        ),
        (
            "other: [{kind: glass, handel: x}]",
            "other.0.glass.handel: there is no such key (keys here: kind, stem)",
        ),
        ("other: [{stem: x}]", "other.0.kind: has to be given"),
    ],
)
def test_an_unknown_key_is_named_with_the_known_keys_and_the_most_similar(
    tmp_path: Path, content: str, fault: str
) -> None:
    file = tmp_path / "shelf.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(fault)):
        load_configuration(file, Shelf)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a\n- b\n", "should be a mapping"),
        (b"size: [1\n", "is not valid YAML"),
        (b"size: \xff\xfe\n", "cannot be read"),
        (bomb(9), "has more than 100,000 values, by its aliases"),
        (b"size: " + b"[" * 5000, "nested too deeply"),
        (b"size: &a [*a]", "an alias is part of its own value"),
        (b"size: " + b"9" * 5000, "a number or a date in it cannot be read"),
        (b"size: 2026-13-45", "a number or a date in it cannot be read"),
        (bomb(4), r"size: Input should be a valid integer \(given: \["),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "cup.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_configuration(file, Cup)
    assert "cup.yaml" in str(caught.value)


def test_invalid_yaml_is_named_with_line_and_column_and_without_its_text(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("name", "names"), [("green", "blue, red"), ("bleu", r"blue, red; is blue meant\?")])
def test_an_unknown_name_lists_the_shipped_ones(tmp_path: Path, name: str, names: str) -> None:
    (tmp_path / "blue.yaml").touch()
    (tmp_path / "red.yaml").touch()
    with pytest.raises(ConfigurationError, match=f"names: {names}$"):
        shipped_or_path(name, tmp_path)


class Row(Configuration):
    cups: tuple[Cup, ...] = Field(min_length=1)


def test_where_items_are_wrong_there_is_no_message_about_their_number(tmp_path: Path) -> None:
    file = tmp_path / "row.yaml"
    file.write_text("cups: [{size: 0, colour: red}]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file, Row)
    assert str(caught.value).count("\n") == 1


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


class Kitchen(Configuration):
    folder: RelativePath = Field(default=Path(), validate_default=True)
    rows: RelativeAddress | None = None


@pytest.mark.parametrize(
    ("content", "folder", "rows"),
    [
        ("{}", "", None),
        ("folder: shelf\nrows: ./a.csv", "shelf", "{folder}/a.csv"),
        ("rows: s3://bucket/a.csv", "", "s3://bucket/a.csv"),
        ("rows: ~/a.csv", "", "{home}/a.csv"),
        ('rows: ""', "", ""),
    ],
)
def test_relative_paths_start_at_the_folder_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, folder: str, rows: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "kitchen.yaml").write_text(content)
    kitchen = load_configuration(Path("inner/kitchen.yaml"), Kitchen)
    assert kitchen.folder == tmp_path / "inner" / folder
    assert kitchen.rows == (rows and rows.format(folder=tmp_path / "inner", home=Path.home()))
