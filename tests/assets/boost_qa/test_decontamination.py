import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.boost_qa.configuration import Benchmark
from assets.boost_qa.decontamination import BenchmarkScreen, open_screen, words
from resources.configuration import ConfigurationError
from resources.lake.opening import open_store
from resources.lake.store import S3Options
from tests.s3_proxy import S3Proxy

QUESTION = (
    "A farmer has seventeen sheep, and all but nine of them run away one night. How many sheep does the farmer have?"
)
SCREEN = BenchmarkScreen([("farm", QUESTION), ("sums", "What is 3 + 4?")], 13)
WORDS = st.lists(st.sampled_from(["one", "two", "three", "four", "five", "six", "seven"]), min_size=1, max_size=30)


def test_thirteen_words_in_a_row_are_found_whatever_their_case_and_punctuation() -> None:
    found = SCREEN.find(["Listen: A FARMER has seventeen sheep (and all but nine of them run away) and a cow."])
    assert found is not None
    assert (found.benchmark, found.kind) == ("farm", "overlap")
    assert found.words == "a farmer has seventeen sheep and all but nine of them run away"


def test_twelve_words_in_a_row_are_not_found() -> None:
    twelve = " ".join(words(QUESTION)[:12])
    assert SCREEN.find([f"{twelve} something else"]) is None


def test_no_overlap_spans_two_texts() -> None:
    half = len(QUESTION) // 2
    assert SCREEN.find([QUESTION[:half], QUESTION[half:]]) is None


def test_a_short_question_is_found_when_it_is_the_same() -> None:
    found = SCREEN.find(["what is  3 + 4"])
    assert found is not None
    assert (found.benchmark, found.kind) == ("sums", "same_question")


def test_another_operator_makes_another_question() -> None:
    assert SCREEN.find(["What is 3 * 4?"]) is None


def test_a_screen_without_benchmarks_finds_nothing() -> None:
    assert BenchmarkScreen([], 13).find([QUESTION]) is None


@given(benchmark=WORDS, text=WORDS)
def test_what_is_found_is_the_same_text_or_a_run_that_both_have(benchmark: list[str], text: list[str]) -> None:
    runs = {tuple(benchmark[start : start + 3]) for start in range(len(benchmark) - 2)}
    shared = any(tuple(text[start : start + 3]) in runs for start in range(len(text) - 2))
    found = BenchmarkScreen([("b", " ".join(benchmark))], 3).find([" ".join(text)])
    assert (found is not None) == (shared or text == benchmark)


def test_the_fingerprint_is_that_of_the_questions_not_of_their_order() -> None:
    questions = [("a", "one two"), ("b", "three four")]
    assert BenchmarkScreen(questions, 3).fingerprint == BenchmarkScreen(questions[::-1], 3).fingerprint
    assert BenchmarkScreen(questions, 3).fingerprint != BenchmarkScreen(questions[:1], 3).fingerprint


def _write(folder: Path, name: str) -> str:
    rows = [{"id": 1, "question": QUESTION}, {"id": 2, "question": "What is 3 + 4?"}]
    path = folder / name
    lines = "\n".join(map(json.dumps, rows)).encode()
    if name.endswith(".parquet"):
        pl.DataFrame(rows).write_parquet(path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    return str(path)


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz", "q.json", "q.parquet"])
def test_benchmark_files_of_every_kind_are_read(tmp_path: Path, name: str) -> None:
    benchmark = Benchmark(name="farm", path=_write(tmp_path, name), question=("question",))
    screen = open_screen([benchmark], 13)
    assert (screen.questions, screen.find([QUESTION]) is not None) == (2, True)


def test_an_unknown_field_is_named_with_those_there_are(tmp_path: Path) -> None:
    benchmark = Benchmark(name="farm", path=_write(tmp_path, "q.jsonl"), question=("prompt",))
    with pytest.raises(ConfigurationError, match=r"'farm'.*no field 'prompt'; there are: id, question"):
        open_screen([benchmark], 13)


def test_a_missing_file_is_named() -> None:
    benchmark = Benchmark(name="farm", path="/nowhere/q.jsonl", question=("question",))
    with pytest.raises(ConfigurationError, match=r"benchmark 'farm'.*/nowhere/q.jsonl.*no such file"):
        open_screen([benchmark], 13)


def test_a_broken_line_is_no_reason_to_screen_less(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "one"}\n{"question"', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="'farm'"):
        open_screen([Benchmark(name="farm", path=str(path), question=("question",))], 13)


def test_a_benchmark_on_s3_is_read_where_the_settings_say(
    s3_proxy: S3Proxy, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    s3 = S3Options(endpoint_url=s3_proxy.address)
    open_store(s3_root, s3).put("farm.jsonl", json.dumps({"question": QUESTION}).encode())
    benchmark = Benchmark(name="farm", path=f"{s3_root}/farm.jsonl", question=("question",))
    assert open_screen([benchmark], 13, s3).find([QUESTION]) is not None


def test_a_screen_of_no_benchmark_finds_nothing() -> None:
    assert open_screen([], 13).find([QUESTION]) is None
