from pathlib import Path

import pytest

from assets.boost_qa.configuration import load_release_rules
from resources.configuration import ConfigurationError


def test_the_standard_rules_load() -> None:
    assert load_release_rules("standard").contamination_words == 13


def test_benchmark_paths_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("benchmarks: [{name: arc, path: tests/arc.jsonl, question: [question]}]", encoding="utf-8")
    assert load_release_rules(str(rules)).benchmarks[0].path == str(tmp_path / "tests/arc.jsonl")


def test_a_benchmark_on_s3_keeps_its_address(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("benchmarks: [{name: arc, path: 's3://b/arc.jsonl', question: [q]}]", encoding="utf-8")
    assert load_release_rules(str(rules)).benchmarks[0].path == "s3://b/arc.jsonl"


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("minimum_coverage: 2\nminimum_rows: 0\nunknown: 1", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"minimum_coverage[\s\S]*minimum_rows[\s\S]*unknown"):
        load_release_rules(str(rules))
