"""Release rules from files."""

from pathlib import Path

import pytest

from assets.boost_qa.configuration import load_release_rules
from resources.configuration import ConfigurationError


def test_the_standard_rules_load() -> None:
    assert load_release_rules("standard").contamination_words == 13


@pytest.mark.parametrize(
    ("given", "loaded"), [("tests/arc.jsonl", "{folder}/tests/arc.jsonl"), ("s3://b/arc.jsonl", "s3://b/arc.jsonl")]
)
def test_benchmark_paths_are_relative_to_the_file_that_has_them(tmp_path: Path, given: str, loaded: str) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"benchmarks: [{{name: arc, path: '{given}', question: [question]}}]", encoding="utf-8")
    assert load_release_rules(str(rules)).benchmarks[0].path == loaded.format(folder=tmp_path)


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("minimum_coverage: 2\nminimum_rows: 0\nunknown: 1", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"minimum_coverage[\s\S]*minimum_rows[\s\S]*unknown"):
        load_release_rules(str(rules))
