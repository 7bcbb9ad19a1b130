from pathlib import Path

import pytest
import yaml

from assets.seeds.configuration import CONFIGURATIONS, load_seeds_configuration
from resources.configuration import ConfigurationError

SOURCE = {
    "name": "sums",
    "files": ["sums.jsonl"],
    "fields": {"question": "q", "answer": "a"},
    "domain": "math",
    "licence": "MIT",
}


def write(at: Path, **content: object) -> str:
    path = at / "seeds.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(CONFIGURATIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert load_seeds_configuration(path.stem).sources


def test_the_default_is_the_demo_whose_sources_say_so() -> None:
    names = load_seeds_configuration().source_names
    assert names
    assert all(name.startswith("demo_") for name in names)


def test_the_paper_samples_nineteen_thousand() -> None:
    samples = {source.name: source.sample for source in load_seeds_configuration("paper").sources}
    assert samples == {"orca_math": 5000, "procqa": 5000, "openhermes": 9000}


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_relative_paths_start_at_the_folder(tmp_path: Path, folder: str | None) -> None:
    content = {"sources": [SOURCE]} | ({"folder": folder} if folder else {})
    configuration = load_seeds_configuration(write(tmp_path, **content))
    assert configuration.address("x/sums.jsonl") == str(tmp_path / (folder or "") / "x/sums.jsonl")


def test_one_field_may_be_written_without_a_list(tmp_path: Path) -> None:
    fields = load_seeds_configuration(write(tmp_path, sources=[SOURCE])).sources[0].fields
    assert fields is not None
    assert fields.question == ["q"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Sums-1"}, "sources.0.name"),
        ({"hub": {"id": "a/b"}}, "exactly one of `hub`, `files` and `plugin`"),
        ({"files": None}, "exactly one of `hub`, `files` and `plugin`"),
        ({"conversations": True}, "exactly one of `fields` and `conversations`"),
        ({"fields": None, "conversations": False}, "exactly one of `fields` and `conversations`"),
        ({"system": "system"}, "`system` is for conversations; write it under `fields`"),
        ({"files": ["https://example.org/x.jsonl"]}, "neither a local path nor an s3:// address"),
        ({"domain": "poetry"}, "sources.0.domain"),
        ({"sample": 0}, "sources.0.sample"),
        ({"licence": None}, "sources.0.licence"),
        ({"sampel": 3}, "sources.0.sampel"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_source_is_named_with_its_fault(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_seeds_configuration(write(tmp_path, sources=[SOURCE | change]))


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="same name: sums"):
        load_seeds_configuration(write(tmp_path, sources=[SOURCE, SOURCE]))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_seeds_configuration(write(tmp_path, sources=[SOURCE | {"domain": "x"}], shard_size=0))
    assert "sources.0.domain" in str(caught.value)
    assert "shard_size" in str(caught.value)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigurationError, match="demo, example, paper"):
        load_seeds_configuration("demmo")
