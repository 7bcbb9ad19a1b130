"""The files that rows leave as for other programs: equal rows, equal features, the loss flags of `trains`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.boost_qa.dataset_card import card_header
from assets.boost_qa.files import Written, read_back_faults, write_dataset_info, write_splits
from assets.boost_qa.forms import FORMS
from assets.training_programs.fine_tuning.data import NO_LOSS, tokenize
from assets.training_programs.fine_tuning.templates import set_chat_template
from tests.assets.boost_qa.form_rows import rows
from tests.tiny_model import make_tiny_model

Load = Callable[..., Any]
SOURCES = [{"source": "sums", "licence": "MIT"}]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`datasets.load_dataset` with a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets.load_dataset


def written(folder: Path, form: str) -> Written:
    """Write rows of a form, with the header of their card."""
    folder.mkdir()
    done = write_splits(rows(form), folder, shard_bytes=10**9, form=FORMS[form], group_rows=3)
    write_dataset_info(folder, "sums", done)
    counts = [{"split": split, "rows": count} for split, count in done.counts.items()]
    header = yaml.safe_dump(card_header("Sums", counts, SOURCES, form=FORMS[form]))
    (folder / "README.md").write_text(f"---\n{header}---\n", encoding="utf-8")
    return done


CONFIGURATIONS = {
    "conversation": ["default", "messages"],
    "preference": ["default", "messages"],
    "labelled": ["default", "messages"],
    "verifiable": ["default"],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_configuration_and_every_jsonl_file_has_the_rows_with_the_same_features_in_all_splits(
    tmp_path: Path, load: Load, form: str
) -> None:
    import datasets

    folder = tmp_path / "set"
    done = written(folder, form)
    assert datasets.get_dataset_config_names(str(folder)) == CONFIGURATIONS[form]
    loaded = [load(str(folder), name) for name in CONFIGURATIONS[form]]
    for name in ("jsonl", *FORMS[form].exports):
        files = {split: str(folder / f"{name}/{split}.jsonl") for split in done.counts}
        loaded.append(load("json", data_files=files))
    for splits in loaded:
        assert {split: part.num_rows for split, part in splits.items()} == done.counts
        assert splits["train"].features == splits["test"].features
        assert "null" not in str(splits["train"].features)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_damaged_export_is_found(tmp_path: Path, form: str, kind: str) -> None:
    done = written(tmp_path / "set", form)
    assert read_back_faults(tmp_path / "set", done) == []
    exports = [name for name, export in FORMS[form].exports.items() if kind == "jsonl" or export.arrow]
    for name in exports:
        train, test = (tmp_path / f"set/{name}/{split}.{kind}" for split in ("train", "test"))
        lines = train.read_bytes().splitlines(keepends=True)
        train.write_bytes(b"".join(lines[1:]) if kind == "jsonl" else test.read_bytes())
    assert read_back_faults(tmp_path / "set", done) == [
        f"the {name}/train.{kind} files, read back, do not have the rows that were written" for name in exports
    ]


def test_the_lines_of_a_conversation_flag_the_messages_that_carry_loss(tmp_path: Path) -> None:
    written(tmp_path / "set", "conversation")
    lines = {
        name: json.loads((tmp_path / f"set/{name}/train.jsonl").read_text(encoding="utf-8").splitlines()[1])
        for name in ("messages", "openai", "llamafactory")
    }
    assert lines["messages"] == {
        "id": "train1",
        "messages": [
            {"role": "system", "content": "Be brief.", "train": False},
            {"role": "user", "content": "1+1?", "train": False},
            {"role": "assistant", "content": "0", "train": False},
            {"role": "user", "content": "No.", "train": False},
            {"role": "assistant", "content": "Sorry: 2 & é", "train": True},
        ],
        "message_loss_mask": [0, 0, 0, 0, 1],
    }
    assert [message["loss_weight"] for message in lines["llamafactory"]["messages"]] == [0, 0, 0, 0, 1]
    assert lines["llamafactory"]["messages"][1]["content"] == [{"type": "text", "value": "1+1?"}]
    # OpenAI's schema has `weight` on assistant messages alone, and no key that it does not know.
    assert lines["openai"] == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1+1?"},
            {"role": "assistant", "content": "0", "weight": 0},
            {"role": "user", "content": "No."},
            {"role": "assistant", "content": "Sorry: 2 & é", "weight": 1},
        ]
    }


DESCRIBED = {
    "conversation": ("jsonl/train.jsonl", {"messages": "conversations", "system": "system"}),
    "preference": ("messages/train.jsonl", {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}),
    "labelled": ("messages/train.jsonl", {"messages": "completion", "kto_tag": "label"}),
}


@pytest.mark.parametrize("form", DESCRIBED)
def test_llama_factory_finds_each_split_under_its_own_name(tmp_path: Path, form: str) -> None:
    written(tmp_path / "set", form)
    info = json.loads((tmp_path / "set/dataset_info.json").read_text(encoding="utf-8"))
    assert list(info) == ["sums", "sums_test"]
    assert (info["sums"]["file_name"], info["sums"]["columns"]) == DESCRIBED[form]
    assert info["sums"].get("ranking", False) == (form == "preference")


def test_llama_factory_is_given_no_form_that_it_does_not_read(tmp_path: Path) -> None:
    written(tmp_path / "set", "verifiable")
    assert not (tmp_path / "set/dataset_info.json").exists()


# -- TRL ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    """A tokenizer of bytes, with the chat template of our trainer."""
    from transformers import AutoTokenizer

    make_tiny_model(tmp_path / "model")
    made = AutoTokenizer.from_pretrained(tmp_path / "model")
    made.pad_token = "<|im_end|>"
    set_chat_template(made, "chatml")
    return made


def trainer(name: str, tokenizer: Any, folder: Path, rows: Any, **more: Any) -> Any:
    """A trainer of TRL over rows, on a tiny model."""
    import trl

    options = {"output_dir": str(folder / "out"), "use_cpu": True, "report_to": "none", "max_length": 256, **more}
    configuration = getattr(trl, f"{name}Config")(**options)
    return getattr(trl, f"{name}Trainer")(
        str(folder / "model"), args=configuration, train_dataset=rows, processing_class=tokenizer
    )


def trained(made: Any, rows: Any, tokenizer: Any) -> list[str]:
    """The text of each row that a trainer computes loss on."""
    labels = [made.data_collator([row])["labels"] for row in rows]
    return [tokenizer.decode(label[label != NO_LOSS].tolist()).strip() for label in labels]


def documented_rows(folder: Path, tokenizer: Any) -> Any:
    """What the function of the page "Train on it" makes of the messages."""
    page = (Path(__file__).parents[3] / "docs/train-on-it.md").read_text(encoding="utf-8")
    block = page.partition("## TRL")[2].partition("```python\n")[2].partition("```")[0]
    variables: dict[str, Any] = {"tokenizer": tokenizer}
    exec(block.replace('"boost_qa"', repr(str(folder))), variables)  # noqa: S102 - our own page
    return variables["tokenized"]


@pytest.mark.torch
def test_trls_loss_falls_on_the_flagged_messages_as_our_trainers(tmp_path: Path, load: Load, tokenizer: Any) -> None:
    written(tmp_path / "set", "conversation")
    dataset = documented_rows(tmp_path / "set", tokenizer)
    made = trainer("SFT", tokenizer, tmp_path, dataset)
    ours = [row for row in rows("conversation") if row["split"] == "train"]
    kept = [[label for label in one["labels"] if label != NO_LOSS] for one in tokenize(ours, tokenizer, 256).rows]
    texts = trained(made, dataset, tokenizer)
    assert texts == [tokenizer.decode(one).strip() for one in kept]
    assert texts[0] == "Sorry: 1 & é<|im_end|>"


@pytest.mark.torch
def test_trls_loss_on_assistants_falls_on_every_assistant_message(tmp_path: Path, load: Load, tokenizer: Any) -> None:
    written(tmp_path / "set", "conversation")
    messages = load(str(tmp_path / "set"), "messages")["train"]
    made = trainer("SFT", tokenizer, tmp_path, messages, assistant_only_loss=True)
    (first, *_) = trained(made, made.train_dataset, tokenizer)
    assert first.split("<|im_end|>") == ["0", "Sorry: 1 & é", ""]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("form", "name", "columns"),
    [
        ("preference", "DPO", {"prompt_ids": "1+1?", "chosen_ids": "It is 2.", "rejected_ids": "It is 0."}),
        ("labelled", "KTO", {"prompt_ids": "1+1?", "completion_ids": "It is 2."}),
    ],
)
def test_trl_tokenizes_pairs_and_labels_as_they_are(
    tmp_path: Path, load: Load, tokenizer: Any, form: str, name: str, columns: dict[str, str]
) -> None:
    written(tmp_path / "set", form)
    made = trainer(name, tokenizer, tmp_path, load(str(tmp_path / "set"))["train"])
    row = made.train_dataset[1]
    for column, text in columns.items():
        assert text in tokenizer.decode(row[column]), made.train_dataset.column_names
