"""Where base models come from, and what is said of one that cannot be used."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.fine_tuning.base_models import fetch, load_model
from assets.training_programs.fine_tuning.errors import ServiceUnreachable, TrainingProgramError
from assets.training_programs.recipe import BaseModel
from resources.lake.opening import open_store
from tests.trainer_work import Workplace, sums


def base_at(model: str, **changes: str) -> BaseModel:
    return BaseModel.model_validate(
        {"name": "tiny", "model": model, "template": "chatml", "context_tokens": 256, **changes}
    )


@pytest.fixture
def copy(tiny_base: BaseModel, tmp_path: Path) -> Path:
    """The tiny base in a folder that may be spoiled."""
    return Path(shutil.copytree(tiny_base.model, tmp_path / "copy"))


def test_a_local_folder_is_told_by_the_hash_of_its_weights(copy: Path, tmp_path: Path) -> None:
    before = fetch(base_at(str(copy)), tmp_path).identity
    (copy / "model.safetensors").write_bytes(b"other weights")

    assert fetch(base_at(str(copy)), tmp_path).identity != before


def test_a_folder_of_s3_is_copied(copy: Path, tmp_path: Path, s3_root: str) -> None:
    store = open_store(s3_root)
    for file in copy.iterdir():
        store.put_file(f"base/{file.name}", file)

    weights = fetch(base_at(f"{s3_root}/base"), tmp_path)

    assert weights.identity == fetch(base_at(str(copy)), tmp_path).identity
    assert Path(weights.folder).is_relative_to(tmp_path)


def test_an_empty_folder_of_s3_is_refused(tmp_path: Path, s3_root: str) -> None:
    with pytest.raises(TrainingProgramError, match="the folder is empty"):
        fetch(base_at(f"{s3_root}/nothing"), tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingProgramError, match="no such folder"):
        fetch(base_at(str(tmp_path / "nothing")), tmp_path)


def test_a_base_without_tokenizer_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "tokenizer.json").unlink()

    with pytest.raises(TrainingProgramError, match="has no tokenizer"):
        fetch(base_at(str(copy)), tmp_path)


def test_a_base_without_safetensors_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").unlink()

    with pytest.raises(TrainingProgramError, match="no weights as safetensors"):
        fetch(base_at(str(copy)), tmp_path)


def test_damaged_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nonsense")

    with pytest.raises(TrainingProgramError, match="cannot be loaded"):
        load_model(fetch(base_at(str(copy)), tmp_path), bf16=False, attention="sdpa")


def test_a_hub_out_of_reach_is_told_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(ServiceUnreachable, match="nobody/nothing cannot be fetched from the hub"):
        fetch(base_at("nobody/nothing"), tmp_path)


def test_a_name_that_is_none_on_the_hub_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingProgramError, match="neither a folder nor on the hub"):
        fetch(base_at("not a/name/at all"), tmp_path)


def test_a_sequence_longer_than_the_model_takes_is_refused(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), max_tokens=512)

    assert workplace.run(specification) != 0
    assert "more than the base model takes (256)" in workplace.failure(specification)["message"]


def spoil_embeddings(copy: Path, change: Callable[[Any], Any]) -> BaseModel:
    """The copy with other embeddings."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(copy)
    change(model)
    model.save_pretrained(copy)
    return base_at(str(copy))


def test_a_tokenizer_of_another_model_is_refused(workplace: Workplace, copy: Path) -> None:
    base = spoil_embeddings(copy, lambda model: model.resize_token_embeddings(40))
    specification = workplace.ask(sums(0, 12), base=base)

    assert workplace.run(specification) != 0
    assert "use the model's own tokenizer" in workplace.failure(specification)["message"]


def test_chat_tokens_that_the_base_was_never_trained_on_are_named(
    workplace: Workplace, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = spoil_embeddings(copy, lambda model: model.model.embed_tokens.weight.data[1].zero_())

    workplace.run(workplace.ask(sums(0, 12), base=base))

    assert "untrained embeddings of <|im_end|>" in capsys.readouterr().err


@pytest.mark.embedded
def test_the_embedded_model_can_be_trained_on(tmp_path: Path) -> None:
    weights = fetch(base_at("embedded"), tmp_path)

    model = load_model(weights, bf16=False, attention="sdpa")

    assert not getattr(model, "is_quantized", False)
    assert model.num_parameters() > 1e8
