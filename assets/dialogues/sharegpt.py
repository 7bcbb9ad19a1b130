"""How the turns of several speakers become a ShareGPT conversation of two sides (METHOD: ShareGPT)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from assets.framework.scenarios.declaration import Side
from assets.framework.scenarios.scenario import Scenario, titled

# The functional form, because `from` is a Python keyword.
ShareGptMessage = TypedDict("ShareGptMessage", {"from": Side, "value": str, "trains": bool})


def conversation(scenario: Scenario, turns: Sequence[Mapping[str, Any]]) -> list[ShareGptMessage]:
    """A complete dialogue's turns as ShareGPT messages, strictly alternating and starting with `human`.

    Where several speakers share a side, every turn begins with its speaker's name.

    Args:
        scenario: whose sides hold.
        turns: rows of the `turns` column, with `speaker`, `text` and `trains`.

    Returns:
        `{"from", "value", "trains"}` per turn; `trains` is never set on the human side.

    Raises:
        ValueError: the turns do not alternate, or do not end with `gpt`; such a dialogue must not be exported.
        KeyError: the scenario has no such speaker.
    """
    messages: list[ShareGptMessage] = []
    for turn in turns:
        side = scenario.side(turn["speaker"])
        value = f"{titled(turn['speaker'])}: {turn['text']}" if scenario.names_speakers else turn["text"]
        messages.append({"from": side, "value": value, "trains": side == "gpt" and bool(turn["trains"])})
    order = [message["from"] for message in messages]
    if not order or len(order) % 2 or order != ["human", "gpt"] * (len(order) // 2):
        raise ValueError(f"the turns of this {scenario.title} do not alternate between human and gpt: {order}")
    return messages
