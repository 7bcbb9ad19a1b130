"""How the turns of several speakers become a ShareGPT conversation of two sides (METHOD: ShareGPT)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from assets.framework.scenarios.declaration import Side
from assets.framework.scenarios.scenario import titled

# The functional form, because `from` is a Python keyword.
ShareGptMessage = TypedDict("ShareGptMessage", {"from": Side, "value": str, "trains": bool})


def conversation(turns: Sequence[Mapping[str, Any]]) -> list[ShareGptMessage]:
    """A complete dialogue's turns as ShareGPT messages, strictly alternating and starting with `human`.

    Where more than two speak, every turn begins with its speaker's name.

    Args:
        turns: rows of the `turns` column, with `speaker`, `side`, `text` and `trains`.

    Returns:
        `{"from", "value", "trains"}` per turn; `trains` is never set on the human side.

    Raises:
        ValueError: the turns do not alternate, or do not end with `gpt`; such a dialogue must not be exported.
    """
    named = len({turn["speaker"] for turn in turns}) > 2
    messages: list[ShareGptMessage] = [
        {
            "from": turn["side"],
            "value": f"{titled(turn['speaker'])}: {turn['text']}" if named else turn["text"],
            "trains": turn["side"] == "gpt" and bool(turn["trains"]),
        }
        for turn in turns
    ]
    order = [message["from"] for message in messages]
    if not order or len(order) % 2 or order != ["human", "gpt"] * (len(order) // 2):
        raise ValueError(f"the turns do not alternate between human and gpt: {order}")
    return messages
