"""What those who never heard of Dagster do with a release on S3, and what rights it takes."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

from resources.lake.tables import Lake
from tests.s3_proxy import Call, S3Proxy
from tests.tiny_lake import TinyLake, eight_seeds

PROJECT = Path(__file__).parents[3]
PERMISSIONS = {"GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "ListObjectsV2": "s3:ListBucket"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """A lake with one release on this machine's disk."""
    made = eight_seeds(str(tmp_path_factory.mktemp("made")))
    made.release()
    return made


@pytest.fixture
def published(made: TinyLake, s3_root: str, s3_proxy: S3Proxy) -> TinyLake:
    """Its like on S3; what is asked of the server from here on is the consumer's doing."""
    published = TinyLake(Lake.at(s3_root), dict(made.taught))
    for file in made.lake.store.list(""):
        published.lake.store.put(file.path, made.lake.store.get(file.path))
    fsspec.filesystem("s3").clear_instance_cache()
    s3_proxy.calls.clear()
    return published


@pytest.fixture
def datasets(published: TinyLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The `datasets` library with a cache of its own; no hub would answer."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")
    datasets.disable_progress_bars()
    return datasets


def latest_release(lake: str) -> str:
    """The address of the newest release, found as anybody finds it."""
    with fsspec.open(f"{lake}/boost_qa/latest.json") as file:
        return f"{lake}/{json.load(file)['folder']}"


def test_datasets_loads_it(datasets: Any, s3_root: str) -> None:
    files = {"train": f"{latest_release(s3_root)}/data/train-*.parquet"}
    loaded = datasets.load_dataset("parquet", data_files=files)["train"]
    assert loaded.num_rows == 5
    assert [turn["from"] for turn in loaded[0]["conversations"]] == ["human", "gpt", "human", "gpt"]


def test_datasets_loads_it_from_the_endpoint_it_is_given(
    datasets: Any, s3_root: str, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"train": f"{latest_release(s3_root)}/data/train-*.parquet"}
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = {"endpoint_url": s3_proxy.address, "key": "test", "secret": "test"}
    assert datasets.load_dataset("parquet", data_files=files, storage_options=dict(options))["train"].num_rows == 5


def test_datasets_streams_it(datasets: Any, s3_root: str) -> None:
    files = {"train": f"{latest_release(s3_root)}/data/train-*.parquet"}
    options = {"use_listings_cache": False}
    rows = datasets.load_dataset("parquet", data_files=files, storage_options=options, streaming=True)["train"]
    assert len({row["id"] for row in rows}) == 5


@pytest.mark.parametrize("streaming", [False, True])
def test_after_a_second_release_datasets_gives_its_rows(
    datasets: Any, published: TinyLake, s3_root: str, streaming: bool
) -> None:
    def said() -> str:
        files = {"train": f"{latest_release(s3_root)}/data/train-*.parquet"}
        rows = datasets.load_dataset("parquet", data_files=files, streaming=streaming)["train"]
        return json.dumps([row["conversations"] for row in rows])

    assert "So 10." in said()
    published.change("eggs", answer="9")
    published.release()
    assert "So 9." in (after := said())
    assert "So 10." not in after


def test_duckdb_reads_it(published: TinyLake, s3_root: str) -> None:
    connection = duckdb.connect()
    connection.register_filesystem(fsspec.filesystem("s3"))
    files = f"{latest_release(s3_root)}/data/*.parquet"
    query = f"SELECT conversations[1].value FROM '{files}' WHERE scenario = 'debate'"  # noqa: S608 - our own address
    assert connection.execute(query).fetchall()[0][0].startswith("Teacher: ")


def test_polars_reads_it(published: TinyLake, s3_root: str) -> None:
    frame = pl.scan_parquet(f"{latest_release(s3_root)}/data/*.parquet").filter(pl.col("split") == "train").collect()
    assert frame.height == 5


def test_pandas_reads_it(published: TinyLake, s3_root: str) -> None:
    frame = pd.read_parquet(f"{latest_release(s3_root)}/data/train-00000-of-00001.parquet")
    assert frame["conversations"][0][0]["from"] == "human"


def test_the_manifest_tells_whether_a_copy_is_whole(published: TinyLake, s3_root: str, tmp_path: Path) -> None:
    fsspec.filesystem("s3").get(f"{latest_release(s3_root)}/", f"{tmp_path}/copy/", recursive=True)
    manifest = json.loads((tmp_path / "copy/manifest.json").read_text())
    assert {file["path"]: file["bytes"] for file in manifest["files"]} == {
        path.relative_to(tmp_path / "copy").as_posix(): path.stat().st_size
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


# -- LLaMA-Factory, TRL ------------------------------------------------------------------------------------------------


def llama_factory_rows(folder: Path, name: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """System prompt and turns of a dataset as LLaMA-Factory's parser and ShareGPT converter take them.

    Its rules (src/llamafactory/data, parser.py and converter.py): `formatting` defaults to alpaca; of `columns` and
    `tags` what is not named is None; user tags at even places, assistant tags at odd ones, an even number of turns;
    any other example is skipped.
    """
    entry = json.loads((folder / "dataset_info.json").read_text())[name]
    assert entry.get("formatting", "alpaca") == "sharegpt"
    assert entry.get("split", "train") == "train"
    columns, tags = entry["columns"], entry["tags"]
    assert set(columns) <= {"system", "tools", "images", "chosen", "rejected", "kto_tag", "messages"}
    roles = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant"}
    for line in (folder / entry["file_name"]).read_text().splitlines():
        example = json.loads(line)
        turns = [
            {"role": roles[turn[tags["role_tag"]]], "content": turn[tags["content_tag"]]}
            for turn in example[columns["messages"]]
        ]
        expected = ["user", "assistant"] * (len(turns) // 2)
        if [turn["role"] for turn in turns] == expected and len(turns) % 2 == 0:
            yield example[columns["system"]], turns


def test_llama_factory_takes_every_row_of_a_copy(published: TinyLake, s3_root: str, tmp_path: Path) -> None:
    fsspec.filesystem("s3").get(f"{latest_release(s3_root)}/", f"{tmp_path}/copy/", recursive=True)
    names = {"boost_qa": 5, "boost_qa_validation": 1, "boost_qa_test": 1}
    found = {name: len(list(llama_factory_rows(tmp_path / "copy", name))) for name in names}
    assert found == names


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)


def test_trl_puts_it_into_a_chat_template(datasets: Any, published: TinyLake, s3_root: str) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast
    from trl.data_utils import apply_chat_template, is_conversational

    files = {"train": f"{latest_release(s3_root)}/data/train-*.parquet"}
    train = datasets.load_dataset("parquet", data_files=files)["train"]
    card = fsspec.filesystem("s3").cat_file(f"{latest_release(s3_root)}/README.md").decode()
    shown: dict[str, Any] = {}
    exec(re.search(r"```python\n(ROLES.*?)\n\n\nmessages", card, re.DOTALL)[1], shown)  # type: ignore[index] # noqa: S102
    row = shown["to_messages"](train[0])
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=Tokenizer(WordLevel({"a": 0})), chat_template=CHATML)
    assert is_conversational(row)
    text = apply_chat_template(row, tokenizer)["text"]
    assert re.findall(r"<\|im_start\|>(\w+)", text) == ["user", "assistant", "user", "assistant"]
    assert train[0]["conversations"][1]["value"] in text


# -- what it takes -----------------------------------------------------------------------------------------------------


def allowed(call: Call, policy: dict[str, Any]) -> bool:
    """Whether the policy lets a request through, by the rules of IAM that ours uses."""
    for statement in policy["Statement"]:
        listing = call.name == "ListObjectsV2"
        resource = "arn:aws:s3:::lake" + ("" if listing else f"/{call.key}")
        wanted = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "*")
        if (
            statement["Effect"] == "Allow"
            and statement["Action"] == PERMISSIONS.get(call.name)
            and fnmatchcase(resource, statement["Resource"])
            and fnmatchcase(call.query.get("prefix", ""), wanted)
        ):
            return True
    return False


def documented_lines() -> list[str]:
    section = (PROJECT / "docs" / "dataset.md").read_text().partition("## Reading a release")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_the_documented_lines_work_and_need_no_more_than_the_consumers_policy(
    datasets: Any, s3_root: str, s3_proxy: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown: dict[str, Any] = {}
    for block in documented_lines():
        told = block.replace('lake = "data"', f'lake = "{s3_root}"')
        exec(told, shown)  # noqa: S102 - our own documentation
    assert shown["train"].num_rows == 5
    prefix = s3_root.removeprefix("s3://lake/")
    policy = json.loads(
        (PROJECT / "infra/policies/consumer.json").read_text().replace("BUCKET", "lake").replace("PREFIX", prefix)
    )
    refused = {(call.name, call.key, call.query.get("prefix")) for call in s3_proxy.calls if not allowed(call, policy)}
    assert refused == set()
    # Of an object that is missing, S3 says so only to those who may list all of the bucket.
    assert {(call.name, call.key) for call in s3_proxy.calls if call.status == 404} == set()
    assert {PERMISSIONS[call.name] for call in s3_proxy.calls} == {"s3:GetObject", "s3:ListBucket"}
