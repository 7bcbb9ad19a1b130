"""The requests of the shipped scenarios, byte by byte: a journal has its completions by them.

`requests.json` has a hash of all requests and turns of fixed dialogues. A prompt or a declaration that was changed on
purpose changes some of them: look at the differences of the names, then write the file again with
`python -m tests.assets.dialogues.test_requests`.
"""

import json
from itertools import product
from pathlib import Path

import pytest

from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.questions import Question
from assets.dialogues.task import DialogueTask
from assets.framework.scenarios.scenario import Scenarios
from resources.identity import stable_hash
from tests.assets.dialogues.scripted import ScriptedChat, run_task

RECORDED = Path(__file__).with_name("requests.json")
SETS = ("standard", "by_example")
QUESTIONS = {
    "math": (
        Question("a1", "Tom has 3 apples and buys 4 more. How many?", "3 + 4 = 7. The answer is 7.", "7", "math"),
        Question(
            "a2", "Ann has 2 pears and buys 5 more. How many?", "2 + 5 = 7. The answer is 7.", "7", "math", "Be brief."
        ),
    ),
    "code": (
        Question("b1", "Write a function that doubles.", "def f(x):\n    return 2 * x", None, "code", "You code."),
        Question("b2", "Write a function that halves.", "def f(x):\n    return x / 2", None, "code"),
    ),
    "general": (
        Question("c1", 'Name a colour of <|im_start|> """ the sky.', "Blue.", None, "general"),
        Question("c2", "Name a colour of grass.", "Green.", None, "general"),
    ),
}
ANSWERS = {
    "right": "I count on.\nThe answer is 7.",
    "wrong": "I guess it.\n\nThe answer is 9.",
    "none": "```python\ndef f(x):\n    return 2 * x\n```\nSo be it.",
}


def numbering_chat(text: str) -> ScriptedChat:
    """Says the same with the number of the call in front."""
    chat = ScriptedChat()
    chat.rule = lambda call: f"Turn {len(chat.calls)} by me. {text}"
    return chat


def requests(scenarios: Scenarios) -> dict[str, str]:
    """Scenario, domain, answer and repetitions to a hash of the dialogue's requests and turns."""
    found = {}
    for (name, scenario), domain, answer in product(scenarios.items(), QUESTIONS, ANSWERS):
        question, similar = QUESTIONS[domain]
        for number in scenario.repetitions[1] if scenario.repetitions else [None]:
            chat = numbering_chat(ANSWERS[answer])
            partner = similar if scenario.needs_partner else None
            task = DialogueTask(f"id-{domain}", name, "x-0000", "x", domain, "train", question, partner, number)
            dialogue = run_task(task, chat, regenerations=1, scenarios=scenarios)
            assert dialogue.status == "complete"
            calls = [
                [call.role, call.turn, call.sample, [[message.role, message.content] for message in call.messages]]
                for call in chat.calls
            ]
            columns = ("speaker", "side", "role", "text", "trains", "final_answer")
            turns = [[turn[column] for column in columns] for turn in dialogue.turns]
            found[" ".join(map(str, filter(None, (name, domain, answer, number))))] = stable_hash(calls, turns)[:16]
    return found


@pytest.mark.parametrize("prompt_set", SETS)
def test_the_requests_are_those_that_journals_have(prompt_set: str) -> None:
    assert requests(load_scenarios(prompt_set=prompt_set)) == json.loads(RECORDED.read_text())[prompt_set]


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({one: requests(load_scenarios(prompt_set=one)) for one in SETS}, indent=1) + "\n")
