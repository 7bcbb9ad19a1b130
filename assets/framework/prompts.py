"""Prompts are text files, one per role and phase, versioned by the hash of their content.

A prompt file is a chat: each part begins with `[system]`, `[user]` or `[assistant]` on a line of its own and may have
placeholders such as `{question}`. The value of a placeholder (a seed, what a student said) is data that others wrote:
it is shown inside a fence that it cannot close, with chat-template tokens disarmed, and never read as a template or as
another message. A part that is one placeholder alone needs no fence: there the message is the border.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from resources.chat.calls import Message
from resources.configuration import ConfigurationError, fault_list, meant
from resources.identity import stable_hash

_PART = re.compile(r"^\[([A-Za-z]+)\][ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_CONTROL_TOKEN = re.compile(
    r"""
    <(?=                                           # every token begins with the character before such a lookahead
        [|｜][^|｜<>\s]{1,60}[|｜]?>                # <|im_start|>, <|eot_id|>, <|turn>; DeepSeek's <｜User｜>
      | [a-z_]{1,40}[|｜]>                         # Gemma's <turn|>
      | /?(?:s|bos|eos|pad|unk|eot|eom|eoh|eoa|sop|eop|(?:start|end)_of_(?:turn|utterance|image))>
      | (?:unused|reserved_|extra_id_|special_)\d{1,5}>
      | </?SYS>>                                   # Llama 2
      | /?(?:seed:)?(?:think|thinking|thoughts?)>
      | /?(?:tool_calls?|tool_responses?|tool_results?|function_calls?|function_responses?)>
      | function=\w{1,60}>
      | \[[^\[\]<>\s]{1,60}\]>                     # Seed's <[begin▁of▁sentence]>
    )
    | \[(?=(?-i:                                   # Mistral's, in capitals: [args] and [img] are code
        /?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|THINK)\]
      | (?:CALL_ID|ARGS|IMG_BREAK|IMG_END|BEGIN_AUDIO|BOS|EOS|gMASK|sMASK|UNUSED_TOKEN_\d{1,5})\]
      )
      | \|(?:user|system|assistant|tool|endofturn)\|\]  # EXAONE's [|user|]
      | e~\[                                       # MiniMax's [e~[, ]~b], ]~!b[
    )
    | \](?=~!?b[\[\]])
    | ◁(?=/?think▷)                                # Kimi
    """,
    re.IGNORECASE | re.VERBOSE,
)


_CLOSING_MARK = {"[": "]", "]": "b", "◁": "▷"}
_LONGEST_TOKEN = 80


@dataclass(frozen=True)
class PromptForm:
    """The placeholders of a prompt file.

    `plain` files are an utterance rather than a chat: they have no parts, and their values stand in the text as is.
    """

    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    inline: frozenset[str] = frozenset()  # optional too; values of our own, shown without a fence
    plain: bool = False

    @property
    def placeholders(self) -> frozenset[str]:
        """All that the file may have."""
        return self.required | self.optional | self.inline


def prompt_form(required: str, optional: str = "", *, inline: str = "", plain: bool = False) -> PromptForm:
    """A form from names separated by spaces."""
    return PromptForm(frozenset(required.split()), frozenset(optional.split()), frozenset(inline.split()), plain)


@dataclass(frozen=True)
class Prompt:
    """One prompt file, read and checked. `parts` are (role, template) pairs; a plain one has a single part."""

    version: str = ""  # 16 hex digits of the file's content
    parts: tuple[tuple[str, str], ...] = ()
    inline: frozenset[str] = field(default_factory=frozenset)


class PromptBook:
    """All prompts of one set.

    Args:
        folders: where the files are; each is read from the first folder that has it.
        forms: by file name without `.txt`.
        files: by the same name, the files of which the first that exists is read; by default those of that name in
            `folders`.

    Raises:
        ConfigurationError: files are missing or not valid; every fault is named at once.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        forms: Mapping[str, PromptForm],
        files: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        faults: list[str] = []
        files = files or {name: [folder / f"{name}.txt" for folder in folders] for name in forms}
        self._prompts = {name: _read(files[name], f"{name}.txt", form, faults, forms) for name, form in forms.items()}
        if faults:
            where = " and ".join(map(str, dict.fromkeys(folders)))
            raise ConfigurationError(
                fault_list(f"the prompts in {where} cannot be used (the shipped set `standard` shows how):", faults)
            )

    def version(self, name: str) -> str:
        """Content hash of a prompt file, 16 hex digits. Raises KeyError for an unknown name."""
        return self._prompts[name].version

    def versions(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """Name to version, ordered by name; of all prompts by default."""
        return {name: self.version(name) for name in sorted(self._prompts if names is None else names)}

    def placeholders(self, name: str) -> frozenset[str]:
        """The placeholders that a prompt file uses. Raises KeyError for an unknown name."""
        return frozenset(found for _, body in self._prompts[name].parts for found in _PLACEHOLDER.findall(body))

    def instructions(self, name: str) -> str:
        """The system part of a prompt file without its placeholders; worked examples are no instructions.

        Raises:
            KeyError: for an unknown name.
        """
        parts = self._prompts[name].parts
        return "\n".join(_PLACEHOLDER.sub(" ", body) for role, body in parts if role == "system")

    def render(self, name: str, /, **values: str) -> tuple[Message, ...]:
        """The messages of a prompt, its placeholders filled in.

        Args:
            name: the file's name without `.txt`.
            values: by placeholder; more than the file uses is fine, so that a user's file may leave some out.
        """
        prompt = self._prompts[name]
        return tuple(
            Message(cast(Literal["system", "user", "assistant"], role), _fill(template, values, prompt.inline))
            for role, template in prompt.parts
        )

    def utterance(self, name: str, /, **values: str) -> str:
        """The text of a plain prompt, said without any model; the values stand in it as they are."""
        ((_, template),) = self._prompts[name].parts
        return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def load_prompt_set(name_or_folder: str, forms: Mapping[str, PromptForm], shipped: Sequence[Path]) -> PromptBook:
    """The shipped set of that name, or the prompts in a folder of the user's own.

    Args:
        name_or_folder: such as `standard`, or the path of a folder.
        forms: of the files.
        shipped: folders that have one folder per set.

    Raises:
        ConfigurationError: there is neither, or the prompts cannot be used.
    """
    names = shipped_sets(shipped)
    folders = [home / name_or_folder for home in shipped] if name_or_folder in names else []
    if not folders and not Path(name_or_folder).expanduser().is_dir():
        raise ConfigurationError(
            f"{name_or_folder!r} is neither a folder of prompts nor one of the shipped names: {', '.join(names)}"
            f"{meant(name_or_folder, names)}"
        )
    return PromptBook(folders or [Path(name_or_folder).expanduser()], forms)


def shipped_sets(shipped: Sequence[Path]) -> list[str]:
    """The names of the shipped sets, sorted."""
    return sorted({folder.name for home in shipped for folder in home.iterdir() if folder.is_dir()})


def disarmed(text: str) -> str:
    """`text` with a space inside the chat-template tokens of all families of models (`<|im_start|>`, `[INST]`, `</s>`,
    `<｜User｜>` …), so that servers, which read such tokens in any message, take them for text. Linear in the text."""
    return _CONTROL_TOKEN.sub(lambda match: f"{match[0]} ", text)


def control_tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """The tokens of chat templates in `text`, each with its start and end."""
    for found in _CONTROL_TOKEN.finditer(text):
        closing = text.find(_CLOSING_MARK.get(found[0], ">"), found.end(), found.end() + _LONGEST_TOKEN)
        end = closing + 1 if closing >= 0 else found.end()
        while text.startswith((">", "]"), end):  # `<</SYS>>`, `<[…]>`
            end += 1
        yield text[found.start() : end], found.start(), end


def fenced(text: str) -> str:
    """`text` between lines of quotation marks, more of them than the text has in a row."""
    longest = max((len(run) for run in re.findall(r'"+', text)), default=0)
    fence = '"' * max(3, longest + 1)
    return f"{fence}\n{text.strip()}\n{fence}"


def _fill(template: str, values: Mapping[str, str], inline: frozenset[str]) -> str:
    alone = _PLACEHOLDER.fullmatch(template)
    if alone:
        return disarmed(values[alone[1]])
    return _PLACEHOLDER.sub(
        lambda match: values[match[1]] if match[1] in inline else fenced(disarmed(values[match[1]])), template
    )


def _read(files: Sequence[Path], file: str, form: PromptForm, faults: list[str], names: Collection[str]) -> Prompt:
    """A prompt from the first of `files` that exists; `names` are those of all prompts of the book."""
    path = next((path for path in files if path.exists()), None)
    if path is None:
        beside = {other.stem for path in files for other in path.parent.glob("*.txt")}
        similar = meant(file.removesuffix(".txt"), sorted(beside - set(names)))
        faults.append(f"{file} is missing{similar}")
        return Prompt()
    try:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{file} cannot be read: {error}")
        return Prompt()
    parts = (("", text.strip()),) if form.plain else _parts(text)
    faults += [f"{file}: {fault}" for fault in _faults(parts, form)]
    return Prompt(stable_hash("prompt", text)[:16], parts, form.inline)


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
    known = ", ".join(f"{{{name}}}" for name in sorted(form.placeholders))
    faults += [
        f"unknown placeholder {{{name}}}{meant(name, form.placeholders)} (there are {known})"
        for name in sorted(used - form.placeholders)
    ]
    faults += [f"placeholder {{{name}}} is not used, but must be" for name in sorted(form.required - used)]
    return faults
