"""A few rows of each form, for tests of the files that they leave as."""

from collections.abc import Callable, Iterator
from typing import Any

from assets.boost_qa.forms import FORMS

Row = dict[str, Any]
LINEAGE = {"source": "sums", "domain": "math", "seed_id": "s0"}


def conversation(number: int, split: str) -> Row:
    """A wrong answer without loss, and its correction with loss; every second row has a system prompt."""
    turns = [("human", f"1+{number}?"), ("gpt", "0"), ("human", "No."), ("gpt", f"Sorry: {number + 1} & é")]
    return {
        "id": f"{split}{number}",
        "conversations": [{"from": side, "value": text} for side, text in turns],
        "system": "Be brief." if number % 2 else "",
        "trains": [False, False, False, True],
        "scenario": "error_correction",
        **LINEAGE,
        "split": split,
        "partner_seed_id": None,
        "licence": "MIT",
        "quality_score": 0.5,
    }


def prompt(number: int) -> list[Row]:
    """A question as messages; every second one has a system prompt."""
    system = [{"role": "system", "content": "Be brief."}] if number % 2 else []
    return [*system, {"role": "user", "content": f"1+{number}?"}]


def answer(text: str) -> list[Row]:
    """An assistant's one message."""
    return [{"role": "assistant", "content": text}]


def preference(number: int, split: str) -> Row:
    """A right answer, chosen, and a wrong one."""
    return {
        "id": f"{split}{number}",
        "prompt": prompt(number),
        "chosen": answer(f"It is {number + 1}."),
        "rejected": answer("It is 0."),
        "chosen_role": "strong_student",
        "rejected_role": "weak_student",
        "dialogue_id": f"d{number}",
        "scenario": "error_correction",
        **LINEAGE,
        "split": split,
        "partner_seed_id": None,
        "licence": "MIT",
    }


def labelled(number: int, split: str) -> Row:
    """An answer that is good in every second row."""
    return {
        "id": f"{split}{number}",
        "prompt": prompt(number),
        "completion": answer(f"It is {number + 1}."),
        "label": number % 2 == 0,
        "dialogue_id": f"d{number}",
        "scenario": "debate",
        **LINEAGE,
        "split": split,
        "partner_seed_id": None,
        "licence": "MIT",
    }


def verifiable(number: int, split: str) -> Row:
    """A question with its result."""
    name, result = f"{split}{number}", str(number + 1)
    return {
        "id": name,
        "prompt": prompt(number),
        "reference_final": result,
        "checker": "math",
        "scenario": "original",
        **LINEAGE,
        "split": split,
        "licence": "MIT",
        "data_source": "sums",
        "reward_model": {"style": "rule", "ground_truth": result},
        "extra_info": {"index": name, "checker": "math"},
    }


MAKERS: dict[str, Callable[[int, str], Row]] = {
    "conversation": conversation,
    "preference": preference,
    "labelled": labelled,
    "verifiable": verifiable,
}


def rows(form: str, count: int = 4, splits: tuple[str, ...] = ("train", "test")) -> Iterator[Row]:
    """So many rows of a form in each split."""
    for split in splits:
        for number in range(count):
            row = MAKERS[form](number, split)
            yield {name: row[name] for name in FORMS[form].schema.columns}
