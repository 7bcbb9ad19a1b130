"""Prompts are text files in one folder: one a role and phase, versioned by the hash of their content.

Two sets are shipped in `prompts/`: `standard` holds instructions only, `by_example` adds worked examples, which very
small models need and which cost large ones tokens and freedom. A profile names the set that suits its models.

A prompt file is a chat: each part begins with `[system]`, `[user]` or `[assistant]` on a line of its own and may hold
placeholders such as `{question}`. What a placeholder stands for (a seed, what a student said) is data that others
wrote: it is shown inside a fence that it cannot close, with chat-template tokens disarmed, and never read as a
template or as another message. A part that is one placeholder alone needs no fence: there the message is the border.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from resources.chat.calls import Message
from resources.configuration import ConfigurationError, fault_list
from resources.identity import stable_hash

SHIPPED = Path(__file__).parent / "prompts"  # a folder a set


@dataclass(frozen=True)
class PromptForm:
    """What a prompt file must hold and may hold.

    `plain` files are an utterance rather than a chat: they have no parts, and their values stand in the text as is.
    """

    needs: frozenset[str]
    may: frozenset[str] = frozenset()
    plain: bool = False


def _form(needs: str, may: str = "", *, plain: bool = False) -> PromptForm:
    return PromptForm(frozenset(needs.split()), frozenset(may.split()), plain)


FORMS: Mapping[str, PromptForm] = {
    # error correction; `…_right` where a rule finds that the weak student's result agrees with the reference
    "weak_student": _form("question"),
    "critic_teacher": _form("question answer reference"),
    "critic_teacher_right": _form("question answer", "reference"),
    "strong_student": _form("question answer advice reference"),
    "strong_student_right": _form("question answer advice reference"),
    # debate: the first word of A, and every later word of A and B
    "debater_opening": _form("question", "name"),
    "debater_reply": _form("question transcript", "name"),
    "debate_closer": _form("question transcript reference", "name"),
    # analogy
    "explaining_teacher": _form("question"),
    "analogy_student": _form("question explanation reference"),
    "similar_question": _form("question", plain=True),
    "analogy_student_again": _form("question reference", "explanation first_question first_answer"),
    # quality
    "judge": _form("question reference dialogue", "scenario"),
}
INLINE = frozenset({"name", "scenario"})  # our own words, shown as they are
_PART = re.compile(r"^\[([A-Za-z]+)\][ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_CONTROL = re.compile(
    r"<(?=\|[^|<>\s]{1,40}\|>|/?s>|/?think>|(?:start|end)_of_turn>|</?SYS>>)|\[(?=/?INST\])", re.IGNORECASE
)


@dataclass(frozen=True)
class Prompt:
    """One prompt file, read and checked. `parts` are (role, template) pairs; a plain one has a single part."""

    name: str
    version: str  # 16 hex digits of the file's content
    parts: tuple[tuple[str, str], ...]


class PromptBook:
    """All prompts of one folder.

    Raises:
        ConfigurationError: files are missing or not in form; every fault is named at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        faults: list[str] = []
        self._prompts = {name: _read(folder, name, form, faults) for name, form in FORMS.items()}
        if faults:
            raise ConfigurationError(
                fault_list(f"the prompts in {folder} cannot be used (the shipped set `standard` shows how):", faults)
            )

    def version(self, name: str) -> str:
        """Content hash of a prompt file, 16 hex digits. Raises KeyError for a name that is not in `FORMS`."""
        return self._prompts[name].version

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """Name to version."""
        return {name: self.version(name) for name in sorted(names)}

    def render(self, name: str, /, **values: str) -> tuple[Message, ...]:
        """The messages of a prompt, its placeholders filled in.

        Args:
            name: the file's name without `.txt`.
            values: by placeholder; more than the file uses is fine, so that a user's file may leave some out.
        """
        return tuple(
            Message(cast(Literal["system", "user", "assistant"], role), _fill(template, values))
            for role, template in self._prompts[name].parts
        )

    def utterance(self, name: str, /, **values: str) -> str:
        """The text of a plain prompt, said without any model; the values stand in it as they are."""
        ((_, template),) = self._prompts[name].parts
        return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def load_prompts(name_or_folder: str) -> PromptBook:
    """The shipped set of that name, or the prompts in a folder of the user's own.

    Raises:
        ConfigurationError: there is neither, or the prompts cannot be used.
    """
    names = shipped_sets()
    folder = SHIPPED / name_or_folder if name_or_folder in names else Path(name_or_folder).expanduser()
    if not folder.is_dir():
        raise ConfigurationError(
            f"{name_or_folder!r} is neither a folder of prompts nor one of the shipped names: {', '.join(names)}"
        )
    return PromptBook(folder)


def shipped_sets() -> list[str]:
    """The names of the sets that come along, sorted."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())


def disarmed(text: str) -> str:
    """`text` with a space inside chat-template tokens (`<|im_start|>`, `[INST]`, `</s>` …), so that servers, which
    read such tokens in any message, take them for text."""
    return _CONTROL.sub(lambda match: f"{match[0]} ", text)


def has_control_tokens(text: str) -> bool:
    """Whether `text` holds a token of some chat template."""
    return _CONTROL.search(text) is not None


def _fill(template: str, values: Mapping[str, str]) -> str:
    alone = _PLACEHOLDER.fullmatch(template)
    if alone:
        return disarmed(values[alone[1]])
    return _PLACEHOLDER.sub(
        lambda match: values[match[1]] if match[1] in INLINE else fenced(disarmed(values[match[1]])), template
    )


def fenced(text: str) -> str:
    """`text` between lines of quotation marks, more of them than the text holds in a row."""
    longest = max((len(run) for run in re.findall(r'"+', text)), default=0)
    fence = '"' * max(3, longest + 1)
    return f"{fence}\n{text.strip()}\n{fence}"


def _read(folder: Path, name: str, form: PromptForm, faults: list[str]) -> Prompt:
    file = f"{name}.txt"
    try:
        text = (folder / file).read_text(encoding="utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        faults.append(f"{file} is missing")
        return Prompt(name, "", ())
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{file} cannot be read: {error}")
        return Prompt(name, "", ())
    parts = (("", text.strip()),) if form.plain else _parts(text)
    faults += [f"{file}: {fault}" for fault in _faults(parts, form)]
    return Prompt(name, stable_hash("prompt", text)[:16], parts)


def _parts(text: str) -> tuple[tuple[str, str], ...]:
    before, *rest = _PART.split(text)
    headed = [("", before.strip())] if before.strip() else []
    return (*headed, *((role, body.strip()) for role, body in zip(rest[::2], rest[1::2], strict=True)))


def _faults(parts: tuple[tuple[str, str], ...], form: PromptForm) -> list[str]:
    faults = []
    roles = [role for role, _ in parts]
    if not form.plain:
        if roles[:1] == [""]:
            faults.append("begins with text of no part; begin with [system] or [user] on a line of its own")
        faults += [
            f"unknown part [{role}]; there are [system], [user], [assistant]"
            for role in roles
            if role not in ("", "system", "user", "assistant")
        ]
        if "system" in roles[1:]:
            faults.append("only the first part may be [system]")
        if roles[-1:] != ["user"]:
            faults.append("the last part must be [user]")
    faults += [f"part [{role}] is empty" if role else "is empty" for role, body in parts if not body]
    used = {found for _, body in parts for found in _PLACEHOLDER.findall(body)}
    known = form.needs | form.may
    shown = ", ".join(f"{{{one}}}" for one in sorted(known))
    faults += [f"unknown placeholder {{{one}}}; there are {shown}" for one in sorted(used - known)]
    faults += [f"placeholder {{{one}}} is not used, but must be" for one in sorted(form.needs - used)]
    return faults
