"""The rewards of the set `rlvr` under TRL's GRPO trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.fine_tuning.templates import set_chat_template
from assets.training_programs.recipe import BaseModel
from assets.training_sets.verifiable import verifiable_row
from master_dagster.rewards import answer_reward

SEED: Mapping[str, Any] = {
    "system": None,
    "source": "sums",
    "domain": "math",
    "split": "train",
    "licence": "MIT",
    "tests": None,
}


@pytest.mark.usefixtures("one_thread")
def test_grpo_calls_the_reward_with_the_columns_of_the_rows(tiny_base: BaseModel, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    pairs = [
        {**SEED, "seed_id": f"s{number}", "question": f"What is {number} and 1?", "reference_final": str(number + 1)}
        for number in range(4)
    ]
    rows = Dataset.from_list([verifiable_row(pair, "math") for pair in pairs])
    tokenizer = AutoTokenizer.from_pretrained(tiny_base.model)
    set_chat_template(tokenizer, "chatml")
    seen: list[tuple[str, float]] = []

    def reward(completions: Sequence[Any], reference_final: Sequence[str], **columns: Any) -> list[float]:
        """Every other completion is taken for the right answer, which a random model never gives."""
        answers: list[Any] = [
            f"The answer is {reference_final[place]}." if place % 2 else completion
            for place, completion in enumerate(completions)
        ]
        rewards = answer_reward(answers, reference_final, **columns)
        seen.extend(zip(reference_final, rewards, strict=True))
        return rewards

    options = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=4,
        max_steps=2,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        logging_steps=1,
        save_strategy="no",
    )
    trainer = GRPOTrainer(
        model=tiny_base.model,
        reward_funcs=reward,
        args=options,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trainer.train()
    assert {reference for reference, _ in seen} <= {"1", "2", "3", "4"}
    assert [value for _, value in seen] == [0.0, 1.0] * (len(seen) // 2)
    assert [entry["reward"] for entry in trainer.state.log_history if "reward" in entry] == [0.5, 0.5]
