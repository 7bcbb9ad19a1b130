"""The identity of a job: what changes it and what does not."""

import re
from typing import Any

import pytest

from assets.training_programs.recipe import BaseModel, Recipe
from assets.training_programs.specification import Specification, TrainingData, specify

BASE = BaseModel(name="qwen2.5-7b-a-very-long-name", model="Qwen/Qwen2.5-7B", template="chatml", context_tokens=4096)
DATA = TrainingData(variant="boost_qa", id="set", release="release", rows={"train": 5}, files={})


def specified(**changes: Any) -> Specification:
    parts = {"base": BASE, "variant": "boost_qa", "recipe": Recipe(), "data": DATA, "image": "local"} | changes
    return specify(**parts)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": Recipe(learning_rate=1e-3)},
        {"recipe": Recipe(seed=1)},
        {"recipe": Recipe(method="dpo")},
        {"recipe": Recipe(beta=0.2)},
        {"recipe": Recipe(lora=None)},
        {"data": DATA.model_copy(update={"release": "another"})},
        {"image": "another"},
        {"base": BASE.model_copy(update={"revision": "abc"})},
    ],
)
def test_what_the_result_depends_on_changes_the_job(change: dict[str, Any]) -> None:
    assert specified(**change).id != specified().id


def test_how_often_it_is_saved_does_not_change_the_job() -> None:
    assert specified(recipe=Recipe(save_steps=7, evaluate_steps=3)).id == specified().id


def test_the_job_s_name_is_one_that_every_place_takes() -> None:
    assert re.fullmatch("[a-z0-9](-?[a-z0-9])*", specified().job_name)
    assert len(specified().job_name) <= 55


def test_settings_that_older_jobs_do_not_name_leave_their_ids_as_they_were() -> None:
    assert specified().id == "246b4ff1041d0113"
