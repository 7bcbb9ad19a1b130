"""Which texts share something with a benchmark, and how benchmark files are read."""

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
HALF = len(QUESTION) // 2
THIRTEEN = "a farmer has seventeen sheep and all but nine of them run away"
SCREEN = BenchmarkScreen([("farm", QUESTION), ("sums", "What is 3 + 4?")], 13)
WORDS = st.lists(st.sampled_from(["one", "two", "three", "four", "five", "six", "seven"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            ["Listen: A FARMER has seventeen sheep (and all but nine of them run away) and a cow."],
            ("farm", "overlap", THIRTEEN),
        ),
        (["what is  3 + 4"], ("sums", "same_question", "what is 3 + 4")),
        ([f"{' '.join(words(QUESTION)[:12])} something else"], None),  # one word too few
        ([QUESTION[:HALF], QUESTION[HALF:]], None),  # a run never spans two texts
        (["What is 3 * 4?"], None),  # another operator
    ],
)
def test_a_run_of_words_or_a_whole_question_is_found(texts: list[str], expected: tuple[str, str, str] | None) -> None:
    found = SCREEN.find(texts)
    assert (found and (found.benchmark, found.kind, found.words)) == expected


def test_a_screen_without_benchmarks_finds_nothing() -> None:
    assert open_screen([], 13).find([QUESTION]) is None


@given(benchmark=WORDS, text=WORDS)
def test_what_is_found_is_the_same_text_or_a_run_that_both_have(benchmark: list[str], text: list[str]) -> None:
    runs = {tuple(benchmark[start : start + 3]) for start in range(len(benchmark) - 2)}
    shared = any(tuple(text[start : start + 3]) in runs for start in range(len(text) - 2))
    found = BenchmarkScreen([("b", " ".join(benchmark))], 3).find([" ".join(text)])
    assert (found is not None) == (shared or text == benchmark)


def test_the_fingerprint_depends_on_the_questions_and_not_on_their_order() -> None:
    questions = [("a", "one two"), ("b", "three four")]
    fingerprints = [BenchmarkScreen(some, 3).fingerprint for some in (questions, questions[::-1], questions[:1])]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz", "q.json", "q.parquet"])
def test_benchmark_files_of_every_kind_are_read(tmp_path: Path, name: str) -> None:
    rows = [{"id": 1, "question": QUESTION}, {"id": 2, "question": "What is 3 + 4?"}]
    path, lines = tmp_path / name, "\n".join(map(json.dumps, rows)).encode()
    if name.endswith(".parquet"):
        pl.DataFrame(rows).write_parquet(path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    screen = open_screen([Benchmark(name="farm", path=str(path), question=("question",))], 13)
    assert (screen.questions, screen.find([QUESTION]) is not None) == (2, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1, "question": "one"}', r"'farm'.*no field 'prompt'; there are: id, question"),
        ('{"prompt": "one"}\n{"prompt"', "'farm'"),
        (None, r"benchmark 'farm'.*q\.jsonl.*no such file"),
    ],
    ids=["unknown field", "broken line", "missing file"],
)
def test_a_benchmark_that_cannot_be_read_as_a_whole_is_an_error(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content:
        (tmp_path / "q.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        open_screen([Benchmark(name="farm", path=str(tmp_path / "q.jsonl"), question=("prompt",))], 13)


def test_a_benchmark_on_s3_is_read_by_the_options_that_are_given(
    s3_proxy: S3Proxy, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    s3 = S3Options(endpoint_url=s3_proxy.address)
    open_store(s3_root, s3).put("farm.jsonl", json.dumps({"question": QUESTION}).encode())
    benchmark = Benchmark(name="farm", path=f"{s3_root}/farm.jsonl", question=("question",))
    assert open_screen([benchmark], 13, s3).find([QUESTION]) is not None
