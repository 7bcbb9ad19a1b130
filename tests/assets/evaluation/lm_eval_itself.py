"""What lm-eval's own evaluator asks of a task and how it scores answers, for tests that compare.

Its arguments: a folder of tasks, a task, and a file with the rows, the examples and the answers. It prints what was
asked, and the metrics of each answer, as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager


class Answering(LM):  # type: ignore[misc]
    """Gives the answers in order, up to the first stop as an endpoint does, and keeps what it was asked."""

    tokenizer_name = ""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said, self.asked = said, list[Any]()

    def apply_chat_template(self, messages: list[Any], **_: Any) -> str:
        return json.dumps(messages)

    def generate_until(self, requests: list[Any]) -> list[str]:
        self.asked = [json.loads(request.args[0]) for request in requests]
        return [text.split(request.args[1]["until"][0])[0] for text, request in zip(self.said, requests, strict=True)]

    def loglikelihood(self, requests: list[Any]) -> Any:
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


if __name__ == "__main__":
    folder, name, file = sys.argv[1:]
    rows, examples, said = json.loads(Path(file).read_text())
    data = DatasetDict({"test": Dataset.from_list(rows), "train": Dataset.from_list(examples)})
    manager = TaskManager(include_path=folder, include_defaults=False)
    task = ConfigurableTask(config={**manager.task_index[name].cfg, "custom_dataset": lambda **_: data})
    model = Answering(said)
    found = simple_evaluate(model, tasks=[task], task_manager=manager, apply_chat_template=True, bootstrap_iters=0)
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    scores = {f"exact_match,{filter}": [] for filter in {sample["filter"] for sample in samples}}
    for sample in samples:
        scores[f"exact_match,{sample['filter']}"].append(float(sample["exact_match"]))
    sys.stdout.write(json.dumps({"asked": model.asked, **scores}) + "\n")
