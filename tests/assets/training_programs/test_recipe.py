"""The file with base models and recipe: what is refused, and that the shipped ones are right."""

from pathlib import Path

import pytest
import yaml

from assets.training_programs.recipe import BaseModel, Lora, Recipe, Training, check_variants, load_training
from resources.configuration import ConfigurationError

BASE = {"name": "tiny", "model": "here/tiny", "template": "chatml", "context_tokens": 2048}


def load(tmp_path: Path, **content: object) -> Training:
    path = tmp_path / "training.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_training(str(path))


def test_the_paper_s_recipe_is_the_paper_s() -> None:
    recipe = load_training("paper").recipe
    assert (recipe.epochs, recipe.learning_rate, recipe.batch_size, recipe.accumulation) == (2, 1e-4, 2, 8)
    assert (recipe.schedule, recipe.warmup, recipe.optimizer) == ("cosine", 0.1, "adamw_torch")


def test_the_paper_s_base_models_are_there() -> None:
    names = [base.name for base in load_training("paper").bases]
    assert names == ["llama-3-8b", "qwen2.5-7b", "mistral-7b"]


def test_the_effective_batch_stays_the_same_on_several_gpus() -> None:
    assert [Recipe(processes=count).accumulation for count in (1, 2, 4)] == [8, 4, 2]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    recipe = {"learning_rate": -1, "ranks": 8, "lora": {"rank": 0}}
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, bases=[BASE | {"template": "unheard"}], recipe=recipe)
    for named in ("learning_rate", "ranks", "lora.rank", "template"):
        assert named in str(error.value)


def test_a_sequence_longer_than_the_model_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="max_tokens 4096 is more than tiny takes"):
        load(tmp_path, bases=[BASE], recipe={"max_tokens": 4096})


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="multiple of batch_size"):
        load(tmp_path, bases=[BASE], recipe={"effective_batch": 3})


AGAIN = BASE | {"name": "tiny-seed1", "seed_of": "tiny", "seed": 1}


def test_a_base_model_can_be_tuned_again_with_another_seed(tmp_path: Path) -> None:
    training = load(tmp_path, bases=[BASE, AGAIN], recipe={"seed": 7})
    assert [training.recipe_of(name, "ori").seed for name in ("tiny", "tiny-seed1")] == [7, 1]
    assert training.seed_of == {"tiny-seed1": "tiny"}


def test_what_the_trainer_is_told_of_a_base_model_knows_no_other_seeds(tmp_path: Path) -> None:
    training = load(tmp_path, bases=[BASE, AGAIN])
    assert training.base("tiny-seed1") == BaseModel.model_validate(BASE | {"name": "tiny-seed1"})


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed_of": "unheard"}, "a seed of 'unheard', which is not among the bases"),
        ({"seed_of": "tiny-seed1"}, "a seed of 'tiny-seed1', which is itself a seed of 'tiny'"),
        ({"seed": 0}, "tiny-seed2 and tiny have the same seed 0"),
        ({"seed": None}, "tiny-seed2 and tiny have the same seed 0"),
        ({"seed": 1}, "tiny-seed2 and tiny-seed1 have the same seed 1"),
        ({"model": "here/other"}, "should have the same model"),
    ],
)
def test_a_seed_that_is_none_is_refused(tmp_path: Path, other: dict[str, object], named: str) -> None:
    second = AGAIN | {"name": "tiny-seed2", "seed": 2} | other
    with pytest.raises(ConfigurationError, match=named):
        load(tmp_path, bases=[BASE, AGAIN, second])


def test_two_base_models_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two base models are called 'tiny'"):
        load(tmp_path, bases=[BASE, BASE])


def test_a_file_without_base_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one model"):
        load(tmp_path, bases=[])


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({"recipe": {"quantization": "nf4"}}, "recipe"),
        ({"variants": {"ori": {"quantization": "nf4"}}}, "variants.ori"),
    ],
)
def test_the_embedded_model_in_four_bits_is_refused(tmp_path: Path, content: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{where}.quantization is set, and tiny is `embedded`"):
        load(tmp_path, bases=[BASE | {"model": "embedded"}], **content)


def test_a_training_set_can_have_a_recipe_of_its_own(tmp_path: Path) -> None:
    changes = {"dpo": {"method": "dpo", "learning_rate": 5e-6, "lora": {"rank": 16}}}
    training = load(tmp_path, bases=[BASE], recipe={"epochs": 3}, variants=changes)
    ours, theirs = training.recipe_of("tiny", "boost_qa"), training.recipe_of("tiny", "dpo")
    assert (ours.method, ours.epochs, ours.learning_rate, ours.lora) == ("sft", 3, 1e-4, Lora())
    assert (theirs.method, theirs.epochs, theirs.learning_rate, theirs.lora) == ("dpo", 3, 5e-6, Lora(rank=16))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "grpo"}, "  - variants.dpo.method: Input should be"),
        ({"betta": 0.1}, "variants.dpo.betta: there is no such key; is beta meant?"),
        ({"method": "dpo", "packing": True}, "variants.dpo: packing joins conversations, and method dpo has none"),
        ({"method": "kto", "batch_size": 1}, "method kto compares the answers of one batch"),
        ({"quantization": "nf4", "lora": None}, "only an adapter can tune"),
        ({"quantization": "nf4", "merge": True}, "which quantization rounds"),
        ({"lora": None, "merge": True}, "merge adds an adapter to the base model, and lora is null"),
        ({"max_tokens": 4096}, "variants.dpo.max_tokens 4096"),
        ({"sharding": "fsdp"}, "sharding splits the model between processes, and the recipe has one"),
        ({"sharding": "fsdp", "nodes": 2, "quantization": "nf4"}, "sharding does not split a base model in 4 bits"),
        (
            {"sharding": "fsdp", "nodes": 2, "method": "dpo", "lora": None},
            "the second copy of the model that method dpo",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_together_is_refused_when_it_is_read(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, bases=[BASE], variants={"dpo": changes})
    assert named in str(error.value)


def test_a_recipe_of_an_unknown_training_set_is_refused(tmp_path: Path) -> None:
    training = load(tmp_path, bases=[BASE], variants={"dpoo": {"method": "dpo"}})
    with pytest.raises(ConfigurationError, match=r"variants\.dpoo: there is no such training set; is dpo meant"):
        check_variants(training, ["boost_qa", "dpo"])


def test_the_shipped_recipes_of_pairs_and_labelled_answers_have_their_methods() -> None:
    for name in ("laptop", "paper", "two_nodes"):
        training = load_training(name)
        base = training.bases[0].name
        assert [training.recipe_of(base, method).method for method in ("dpo", "kto")] == ["dpo", "kto"]
