"""Tuning by preference pairs and labelled answers, and without an adapter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.fine_tuning.errors import BAD_INPUT, DONE
from tests.assets.training_programs.fine_tuning.test_program import Killed, KillingStore
from tests.trainer_work import Row, Workplace, labelled_answers, pair, pairs, sums


@dataclass(frozen=True)
class Case:
    """A recipe with rows of its form."""

    form: str
    train: Sequence[Row]
    validation: Sequence[Row]
    recipe: Mapping[str, Any] = field(default_factory=dict)


PAIRED = Case("preference", pairs(0, 12), pairs(20, 3), {"method": "dpo"})
CASES = {
    "dpo": PAIRED,
    "kto": Case("labelled", labelled_answers(0, 12), labelled_answers(20, 4), {"method": "kto"}),
    "all weights": Case("conversation", sums(0, 12), sums(20, 3), {"lora": None}),
    "kto of all weights": Case(
        "labelled", labelled_answers(0, 12), labelled_answers(20, 4), {"method": "kto", "lora": None}
    ),
    "dpo of all weights": Case("preference", pairs(0, 12), pairs(20, 3), {"method": "dpo", "lora": None}),
}


def ask(workplace: Workplace, case: Case, **recipe: Any) -> Any:
    return workplace.ask(case.train, case.validation, form=case.form, **{**case.recipe, **recipe})


def weights(workplace: Workplace, specification: Any) -> bytes:
    """Of the adapter, or of the whole model."""
    folder = "model/model" if specification.recipe.lora is None else "adapter/adapter_model"
    return workplace.store.get(f"{specification.folder}/{folder}.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_a_run_ends_with_its_weights_and_resumes_to_the_same_after_a_kill(workplace: Workplace, name: str) -> None:
    specification = ask(workplace, CASES[name])
    assert workplace.run(specification) == DONE
    manifest, whole = workplace.manifest(specification), weights(workplace, specification)
    results = manifest["results"]
    assert manifest["global_step"] == manifest["max_steps"] == 6
    assert results["reloaded_loss"] == pytest.approx(results["reference_loss"], rel=1e-3)
    assert [point["step"] for point in results["validation"]] == [3, 6]
    assert workplace.store.list(f"{specification.folder}/progress") == []
    workplace.keep_only_the_specification(specification)

    with pytest.raises(Killed):
        workplace.run(specification, store=KillingStore(workplace.root, "checkpoint-3/manifest.json", after=True))
    assert workplace.run(specification, attempt=2) == DONE

    assert weights(workplace, specification) == whole


def test_pairs_teach_a_tiny_model_which_answer_is_better(workplace: Workplace) -> None:
    specification = ask(workplace, PAIRED, epochs=4, save_steps=99)

    workplace.run(specification)

    results = workplace.manifest(specification)["results"]
    assert results["reward_accuracy"] == 1
    assert results["reward_margin"] > 0.1
    assert results["last_loss"] < results["first_loss"]


def test_a_set_with_too_few_usable_pairs_is_refused(workplace: Workplace) -> None:
    same = [pair(f"{number}?", "It is 1.", "It is 1.") for number in range(9)]
    specification = workplace.ask([*pairs(0, 3), *same], form="preference", method="dpo")

    assert workplace.run(specification) == BAD_INPUT

    assert (
        "3 usable rows, the recipe wants at least 4; left out: 9 chosen equal to rejected"
        in (workplace.failure(specification)["message"])
    )


def test_four_bits_without_a_gpu_are_refused(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), quantization="nf4")

    assert workplace.run(specification) == BAD_INPUT

    assert "quantization is nf4, which needs an NVIDIA GPU" in workplace.failure(specification)["message"]


@pytest.mark.parametrize("name", ["dpo of all weights", "kto of all weights"])
def test_the_reference_is_a_copy_where_the_model_s_folder_cannot_be_loaded(
    workplace: Workplace, name: str, tmp_path: Path
) -> None:
    from datasets import Dataset

    from assets.training_programs.fine_tuning import base_models, templates, training
    from assets.training_programs.fine_tuning.data import tokenize

    case = CASES[name]
    recipe = ask(workplace, case).recipe
    weights = base_models.fetch(workplace.base, tmp_path)
    tokenizer = base_models.load_tokenizer(weights)
    templates.set_chat_template(tokenizer, workplace.base.template)
    rows = Dataset.from_list(tokenize(case.train, tokenizer, recipe.max_tokens, case.form).rows)
    precision = training.choose_precision(recipe)
    model = training.make_base(weights, recipe, precision)
    model.config.name_or_path = "nowhere"  # as the folder of a GGUF file, which transformers does not load

    trainer = training.make_trainer(model, tokenizer, rows, None, recipe, precision, tmp_path / "run")

    assert trainer.ref_model is not model
    assert not trainer.ref_model.training
