"""What people do with a release without Dagster, on disk and on S3, and which permissions it takes."""

import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

from assets.boost_qa.schema import RELEASE_ROW
from resources.lake.tables import Lake
from tests.s3_proxy import Call, S3Proxy
from tests.tiny_lake import TinyLake, eight_seeds

PROJECT = Path(__file__).parents[3]
PERMISSIONS = {"GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "ListObjectsV2": "s3:ListBucket"}
SPLITS = {"train": 5, "validation": 1, "test": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """A lake with one release on disk."""
    made = eight_seeds(str(tmp_path_factory.mktemp("made")))
    made.release()
    return made


@pytest.fixture
def published(made: TinyLake, s3_root: str, s3_proxy: S3Proxy) -> TinyLake:
    """A copy on S3; the proxy counts the consumer's requests from here on."""
    published = TinyLake(Lake.at(s3_root), dict(made.dialogues))
    for file in made.lake.store.list(""):
        published.lake.store.put(file.path, made.lake.store.get(file.path))
    fsspec.filesystem("s3").clear_instance_cache()
    s3_proxy.calls.clear()
    return published


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def lake(request: pytest.FixtureRequest, made: TinyLake) -> str:
    """The address of a lake with a release."""
    published: TinyLake = request.getfixturevalue("published") if request.param == "s3" else made
    return published.lake.store.root


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The `datasets` library with a cache of its own, and no hub."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")
    datasets.disable_progress_bars()
    return datasets


def latest(lake: str) -> str:
    """The address of the latest release, by its pointer."""
    with fsspec.open(f"{lake}/boost_qa/latest.json") as file:
        return f"{lake}/{json.load(file)['folder']}"


def with_datasets(release: str, form: str = "parquet", files: str = "data/train-*.parquet", **options: Any) -> Any:
    import datasets

    return datasets.load_dataset(form, data_files={"train": f"{release}/{files}"}, **options)["train"]


def with_duckdb(release: str) -> list[Any]:
    connection = duckdb.connect()
    connection.register_filesystem(fsspec.filesystem("s3"))
    query = f"SELECT conversations FROM '{release}/data/train-*.parquet'"  # noqa: S608 - our own address
    return [row[0] for row in connection.execute(query).fetchall()]


READERS: dict[str, Callable[[str], Any]] = {
    "datasets": lambda release: with_datasets(release)["conversations"],
    "datasets, streamed": lambda release: [row["conversations"] for row in with_datasets(release, streaming=True)],
    "datasets, JSONL": lambda release: with_datasets(release, "json", "jsonl/train.jsonl")["conversations"],
    "polars": lambda release: pl.scan_parquet(f"{release}/data/train-*.parquet").collect()["conversations"].to_list(),
    "pandas": lambda release: list(pd.read_parquet(f"{release}/data/train-00000-of-00001.parquet")["conversations"]),
    "duckdb": with_duckdb,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_library_reads_the_training_rows(datasets: Any, lake: str, reader: str) -> None:
    conversations = READERS[reader](latest(lake))
    assert [[turn["from"] for turn in one] for one in conversations] == [["human", "gpt", "human", "gpt"]] * 5


def test_datasets_shows_every_column_and_plain_types(datasets: Any, made: TinyLake) -> None:
    loaded = with_datasets(latest(made.lake.store.root))
    assert loaded.column_names == list(RELEASE_ROW.columns)
    turn = loaded.features["conversations"].feature
    assert {name: value.dtype for name, value in turn.items()} == {"from": "string", "value": "string"}


def test_datasets_loads_a_folder_by_its_card_with_only_the_splits_that_it_has(
    datasets: Any, tiny_lake: TinyLake, made: TinyLake
) -> None:
    loaded = datasets.load_dataset(latest(made.lake.store.root))
    assert {split: rows.num_rows for split, rows in loaded.items()} == SPLITS
    tiny_lake.change_every(split="train")
    folder = tiny_lake.lake.store.uri(tiny_lake.release().folder)
    assert {split: rows.num_rows for split, rows in datasets.load_dataset(folder).items()} == {"train": 7}
    assert not list(Path(folder).glob("*/validation*"))


def test_datasets_reads_from_the_endpoint_that_it_is_given(
    datasets: Any, published: TinyLake, s3_root: str, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = latest(s3_root)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = {"endpoint_url": s3_proxy.address, "key": "test", "secret": "test"}
    assert with_datasets(release, storage_options=options).num_rows == 5


@pytest.mark.parametrize("reader", ["datasets", "datasets, streamed"])
def test_after_a_second_release_datasets_reads_its_rows(
    datasets: Any, published: TinyLake, s3_root: str, reader: str
) -> None:
    assert "So 10." in str(list(READERS[reader](latest(s3_root))))
    published.change("eggs", answer="9")
    published.release()
    after = str(list(READERS[reader](latest(s3_root))))
    assert "So 9." in after
    assert "So 10." not in after


def test_the_manifest_says_whether_a_copy_is_complete(published: TinyLake, s3_root: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    fsspec.filesystem("s3").get(f"{latest(s3_root)}/", f"{copy}/", recursive=True)
    manifest = json.loads((copy / "manifest.json").read_text())
    assert {file["path"]: file["bytes"] for file in manifest["files"]} == {
        path.relative_to(copy).as_posix(): path.stat().st_size
        for path in copy.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


# -- LLaMA-Factory, TRL ------------------------------------------------------------------------------------------------


def llama_factory_rows(folder: Path, name: str) -> Iterator[list[dict[str, str]]]:
    """The turns of a dataset as LLaMA-Factory's parser and ShareGPT converter read them.

    Its rules (src/llamafactory/data, parser.py and converter.py): `formatting` is alpaca by default; `columns` and
    `tags` that are not given are None; user tags at even places, assistant tags at odd ones, an even number of turns;
    any other example is skipped.
    """
    entry = json.loads((folder / "dataset_info.json").read_text())[name]
    assert entry.get("formatting", "alpaca") == "sharegpt"
    assert entry.get("split", "train") == "train"
    columns, tags = entry["columns"], entry["tags"]
    assert set(columns) <= {"system", "tools", "images", "chosen", "rejected", "kto_tag", "messages"}
    roles = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant"}
    for line in (folder / entry["file_name"]).read_text(encoding="utf-8").splitlines():
        example = json.loads(line)
        assert isinstance(example[columns["system"]], str)
        turns = [
            {"role": roles[turn[tags["role_tag"]]], "content": turn[tags["content_tag"]]}
            for turn in example[columns["messages"]]
        ]
        if [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2) and len(turns) % 2 == 0:
            yield turns


def test_llama_factory_reads_every_row(made: TinyLake) -> None:
    folder = Path(latest(made.lake.store.root))
    for split, count in SPLITS.items():
        rows = list(llama_factory_rows(folder, "boost_qa" if split == "train" else f"boost_qa_{split}"))
        assert len(rows) == count
        assert all(turn["content"].strip() for turns in rows for turn in turns)


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)


def run_snippets(card: Path) -> dict[str, Any]:
    """Run the Python of a dataset card; returns its variables."""
    variables: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, variables)  # noqa: S102 - the snippets of our own template
    return variables


def test_the_cards_snippets_load_a_release_and_make_trls_messages(
    datasets: Any, tiny_lake: TinyLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast
    from trl.data_utils import apply_chat_template, is_conversational

    tiny_lake.change("verbs", system="Answer in one word.")
    release = tiny_lake.release()
    monkeypatch.chdir(tiny_lake.lake.store.root)
    messages = run_snippets(Path(release.folder) / "README.md")["messages"]
    assert messages["train"].column_names == ["id", "messages", "message_loss_mask"]
    system = {"role": "system", "content": "Answer in one word.", "train": False}
    assert messages["test"][0]["messages"][0] == system
    assert all(turn["content"] for split in messages.values() for row in split for turn in row["messages"])
    row = messages["train"][0]
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=Tokenizer(WordLevel({"a": 0})), chat_template=CHATML)
    assert is_conversational(row)
    text = apply_chat_template(row, tokenizer)["text"]
    assert re.findall(r"<\|im_start\|>(\w+)", text) == ["user", "assistant", "user", "assistant"]
    assert row["messages"][1]["content"] in text


# -- permissions -------------------------------------------------------------------------------------------------------


def allowed(call: Call, policy: dict[str, Any]) -> bool:
    """Whether the policy allows a request, by the rules of IAM that ours uses."""
    resource = "arn:aws:s3:::lake" + ("" if call.name == "ListObjectsV2" else f"/{call.key}")
    return any(
        statement["Effect"] == "Allow"
        and statement["Action"] == PERMISSIONS.get(call.name)
        and fnmatchcase(resource, statement["Resource"])
        and fnmatchcase(
            call.query.get("prefix", ""), statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "*")
        )
        for statement in policy["Statement"]
    )


def test_the_documented_lines_work_and_need_only_the_consumers_policy(
    datasets: Any,
    published: TinyLake,
    s3_root: str,
    s3_proxy: S3Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    section = (PROJECT / "docs" / "dataset.md").read_text().partition("## Reading a release")[2].partition("\n## ")[0]
    (tmp_path / "lines.md").write_text(section.replace('lake = "data"', f'lake = "{s3_root}"'), encoding="utf-8")
    assert run_snippets(tmp_path / "lines.md")["train"].num_rows == 5
    prefix = s3_root.removeprefix("s3://lake/")
    policy = json.loads(
        (PROJECT / "infra/policies/consumer.json").read_text().replace("BUCKET", "lake").replace("PREFIX", prefix)
    )
    refused = {(call.name, call.key, call.query.get("prefix")) for call in s3_proxy.calls if not allowed(call, policy)}
    assert refused == set()
    # S3 answers 404 on a missing object only to those who may list all of the bucket.
    assert {(call.name, call.key) for call in s3_proxy.calls if call.status == 404} == set()
    assert {PERMISSIONS[call.name] for call in s3_proxy.calls} == {"s3:GetObject", "s3:ListBucket"}
