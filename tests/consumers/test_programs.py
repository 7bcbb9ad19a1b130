"""What axolotl, LLaMA-Factory and verl read of our files, by their own loaders and with the lines of the card.

`make test-consumers` installs them in a folder of their own and runs this; the other tests leave it out.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.boost_qa.dataset_card import how_to_load
from assets.boost_qa.files import write_dataset_info, write_splits
from assets.boost_qa.forms import FORMS
from tests.assets.boost_qa.form_rows import rows
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.consumers
PROJECT = Path(__file__).parents[2]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_LOSS = -100
RIGHT = ["Sorry: 1 & é<|im_end|>", "Sorry: 2 & é<|im_end|>"]  # what the first two conversations train


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer of bytes, with ChatML."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("model")
    make_tiny_model(folder)
    made = AutoTokenizer.from_pretrained(folder)
    made.chat_template = CHATML
    made.pad_token = "<|im_end|>"
    return made


@pytest.fixture(params=["conversation", "preference", "labelled"])
def form(request: pytest.FixtureRequest) -> str:
    """The name of a form of rows."""
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path, form: str) -> Path:
    """A set of rows of that form."""
    made = tmp_path / "set"
    made.mkdir()
    write_dataset_info(made, "sums", write_splits(rows(form), made, shard_bytes=10**9, form=FORMS[form]))
    return made


def card_lines(folder: Path, form: str, program: str, place: int = 0) -> dict[str, Any]:
    """The YAML that the card shows for a program; `place`: which of its blocks."""
    text = how_to_load(str(folder), "sums", ["train", "test"], FORMS[form])
    section = re.split(r"^\*\*", text.partition(f"\n**{program}**")[2], flags=re.MULTILINE)[0]
    return dict(yaml.safe_load(re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[place]))


def trained(tokenizer: Any, ids: Any, keep: Any) -> str:
    """The text of the tokens that carry loss."""
    return str(tokenizer.decode([int(token) for token, kept in zip(ids, keep, strict=True) if kept])).strip()


def load_parquet(path: str) -> Any:
    """Rows as axolotl loads a local file of `ds_type: parquet`."""
    import datasets

    return datasets.load_dataset("parquet", data_files=path, split="train")


# -- axolotl -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["conversation"], indirect=True)
def test_axolotl_trains_the_flagged_messages_alone(folder: Path, form: str, tokenizer: Any) -> None:
    from axolotl.prompt_strategies import chat_template
    from axolotl.utils.dict import DictDefault

    (lines,) = card_lines(folder, form, "axolotl")["datasets"]
    configuration = DictDefault(sequence_len=512, train_on_inputs=False, chat_template="tokenizer_default")
    strategy = chat_template.load(tokenizer, configuration, ds_cfg=DictDefault(lines))
    tokenized = [strategy.tokenize_prompt(row) for row in load_parquet(lines["path"])]
    found = [
        trained(tokenizer, row["input_ids"], [label != NO_LOSS for label in row["labels"]]) for row in tokenized[:2]
    ]
    assert found == RIGHT


@pytest.mark.parametrize("form", ["preference", "labelled"], indirect=True)
def test_axolotl_reads_preferences_and_labels(folder: Path, form: str, tokenizer: Any) -> None:
    from axolotl.prompt_strategies.dpo import load as load_dpo
    from axolotl.prompt_strategies.kto import load as load_kto
    from axolotl.utils.dict import DictDefault

    lines = DictDefault(card_lines(folder, form, "axolotl"), chat_template="tokenizer_default")
    (dataset,) = lines["datasets"]
    found = {"dpo": load_dpo, "kto": load_kto}[lines["rl"]](dataset["type"], lines, dataset_idx=0)
    change, removed = found if isinstance(found, tuple) else (found, {})
    arguments = {"fn_kwargs": {"tokenizer": tokenizer}} if lines["rl"] == "dpo" else {}
    row = load_parquet(dataset["path"]).map(change, **removed, **arguments)[1]
    prompt = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n"
    answers = {
        "preference": {"chosen": "It is 2.<|im_end|>", "rejected": "It is 0.<|im_end|>"},
        "labelled": {"completion": "It is 2.<|im_end|>", "label": False},
    }
    assert {name: row[name] for name in ("prompt", *answers[form])} == {"prompt": prompt, **answers[form]}


# -- LLaMA-Factory -----------------------------------------------------------------------------------------------------


@pytest.fixture
def any_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLaMA-Factory accepts our versions of the libraries that it loads with."""
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")


def llama_factory(lines: dict[str, Any], tokenizer: Any, cache: Path) -> Any:
    """The rows that LLaMA-Factory tokenizes, by its own loader."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    stage = lines.pop("stage", "sft")
    data = DataArguments(template="chatml", cutoff_len=512, **lines)
    template = get_template_and_fix_tokenizer(tokenizer, data)
    model = ModelArguments(model_name_or_path="tiny", cache_dir=str(cache))
    training = Seq2SeqTrainingArguments(output_dir=str(cache), use_cpu=True, report_to=[])
    reading = {"dpo": "rm"}.get(stage, stage)  # as its workflow of DPO calls its loader
    return get_dataset(template, model, data, training, reading, tokenizer)["train_dataset"]


@pytest.mark.parametrize("form", ["conversation"], indirect=True)
@pytest.mark.parametrize("mask_history", [False, True])
@pytest.mark.usefixtures("any_versions")
def test_llama_factory_trains_every_gpt_turn_or_the_last(
    folder: Path, form: str, tokenizer: Any, tmp_path: Path, mask_history: bool
) -> None:
    lines = card_lines(folder, form, "LLaMA-Factory") | {"mask_history": mask_history}
    loaded = llama_factory(lines, tokenizer, tmp_path / "cache")
    found = [trained(tokenizer, row["input_ids"], [label != NO_LOSS for label in row["labels"]]) for row in loaded]
    first = "" if mask_history else "0<|im_end|>\n"
    assert found[:2] == [first + right for right in RIGHT]
    assert len(found) == 4


@pytest.mark.parametrize("form", ["preference", "labelled"], indirect=True)
@pytest.mark.usefixtures("any_versions")
def test_llama_factory_reads_preferences_and_labels(folder: Path, form: str, tokenizer: Any, tmp_path: Path) -> None:
    loaded = llama_factory(card_lines(folder, form, "LLaMA-Factory"), tokenizer, tmp_path / "cache")
    assert len(loaded) == 4
    row = loaded[1]
    if form == "labelled":
        assert [row["kto_tags"] for row in loaded] == [True, False, True, False]
        assert "Be brief." in tokenizer.decode(row["input_ids"])
    else:
        for side, text in {"chosen": "It is 2.", "rejected": "It is 0."}.items():
            ids, labels = row[f"{side}_input_ids"], row[f"{side}_labels"]
            assert trained(tokenizer, ids, [label != NO_LOSS for label in labels]) == f"{text}<|im_end|>"


@pytest.mark.parametrize("form", ["conversation"], indirect=True)
def test_the_new_trainer_of_llama_factory_trains_the_flagged_messages_alone(
    folder: Path, form: str, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    from llamafactory.v1.core.data_engine import DataEngine
    from llamafactory.v1.core.utils.rendering import Renderer

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    lines = card_lines(folder, form, "LLaMA-Factory", place=1)
    engine, renderer = DataEngine(lines["train_dataset"]), Renderer(lines["template"], tokenizer)
    rendered = [renderer.render_messages(engine[place]["messages"]) for place in range(2)]
    found = [trained(tokenizer, row["input_ids"], row["loss_weights"]) for row in rendered]
    assert found == [f"<|im_start|>assistant\n{right}" for right in RIGHT]


# -- verl --------------------------------------------------------------------------------------------------------------


def masked_class(folder: Path) -> Any:
    """The class of the page "Train on it", loaded from a file as verl loads `data.custom_cls`."""
    page = (PROJECT / "docs/train-on-it.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n([^`]*?class FlaggedMessages.*?)```", page, re.DOTALL)
    path = folder / "flagged.py"
    path.write_text(block, encoding="utf-8")
    specification = importlib.util.spec_from_file_location("flagged", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.FlaggedMessages


@pytest.mark.parametrize("form", ["conversation"], indirect=True)
@pytest.mark.parametrize("flagged", [False, True])
def test_verl_trains_every_assistant_message_or_the_flagged_ones(
    folder: Path, tmp_path: Path, tokenizer: Any, flagged: bool
) -> None:
    from omegaconf import OmegaConf
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    read = masked_class(tmp_path) if flagged else MultiTurnSFTDataset
    options = OmegaConf.create({"messages_key": "messages", "pad_mode": "no_padding", "max_length": 512})
    dataset = read(parquet_files=str(folder / "messages/train.parquet"), tokenizer=tokenizer, config=options)
    found = [trained(tokenizer, dataset[place]["input_ids"], dataset[place]["loss_mask"]) for place in range(2)]
    first = "" if flagged else "0<|im_end|>\n"
    assert found == [first + right for right in RIGHT]


@pytest.mark.parametrize("form", ["verifiable"], indirect=True)
def test_verl_rewards_answers_to_the_questions_of_a_verifiable_set(
    folder: Path, tmp_path: Path, tokenizer: Any
) -> None:
    from omegaconf import OmegaConf
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.utils.dataset.rl_dataset import RLHFDataset

    page = (PROJECT / "docs/train-on-it.md").read_text(encoding="utf-8")
    reward = get_custom_reward_fn(OmegaConf.from_dotlist(re.findall(r"reward\.custom_reward_function\.\S+", page)))
    assert reward
    options = OmegaConf.create({"cache_dir": str(tmp_path / "cache"), "filter_overlong_prompts": False})
    files = [str(folder / "data/train-00000-of-00001.parquet")]
    row = RLHFDataset(data_files=files, tokenizer=tokenizer, config=options)[1]
    assert row["raw_prompt"][-1] == {"role": "user", "content": "1+1?"}
    scores = [
        reward(
            data_source=row["data_source"],
            solution_str=f"The answer is {number}.",
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info=row["extra_info"],
        )
        for number in (2, 7)
    ]
    assert scores == [1.0, 0.0]
