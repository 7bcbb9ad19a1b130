"""Keeps a model's reasoning apart from its answer, in the marks of all families of models."""

import re

_NAME = r"(?:seed:)?(?:think|thinking|thoughts?|reason|reasoning|analysis|scratchpad)"
# <think>, <seed:think>, <|think|>, [THINK], ◁think▷; <|begin_of_thought|>, <|START_THINKING|>, <|inner_prefix|>
_OPENING_MARK = rf"<[|｜]?{_NAME}[|｜]?>|\[{_NAME}\]|◁{_NAME}▷|<\|(?:begin_of_thought|start_thinking|inner_prefix)\|>"
_OPENING = re.compile(rf"\s*(?:{_OPENING_MARK})", re.IGNORECASE)
_OPENING_WITHIN = re.compile(_OPENING_MARK, re.IGNORECASE)
_CLOSING = re.compile(
    rf"<[|｜]?/{_NAME}[|｜]?>|\[/{_NAME}\]|◁/{_NAME}▷|<\|(?:end_of_thought|end_thinking|inner_suffix)\|>", re.IGNORECASE
)
# Marks that are nothing else within an answer, as `<reason>` in XML and `[analysis]` in a template can be.
_PLAIN_MARK = re.compile(
    r"</?(?:seed:)?(?:think|thinking|thoughts?)>|(?-i:\[/?THINK\])|◁/?think▷|<\|(?:begin|end)_of_thought\|>",
    re.IGNORECASE,
)
# Marks around the answer that some families put after the reasoning.
_ANSWER_OPENING = re.compile(r"<(?:answer|response|\|(?:start_response|begin_of_solution)\|)>", re.IGNORECASE)
_ANSWER_CLOSING = re.compile(r"<(?:/(?:answer|response)|\|(?:end_response|end_of_solution)\|)>\Z", re.IGNORECASE)
# gpt-oss: <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>
_CHANNEL = re.compile(r"<\|channel\|>\s{0,9}+(\w{1,30}+)(?:(?!<\|message\|>).){0,100}+<\|message\|>", re.IGNORECASE)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>", re.IGNORECASE)
# The same where the server has dropped the special tokens: "analysisLet us …assistantfinalThe answer is …"
_BARE_CHANNELS = re.compile(r"analysis(.*?)assistantfinal(.*)", re.DOTALL)


def split_reasoning(content: str) -> tuple[str | None, str]:
    """The reasoning at the beginning of an utterance, and the utterance itself.

    Some chat templates open the reasoning within the prompt, so that only its end is seen. Reasoning that the token
    limit cut off has no end, and no utterance follows. The time is linear in the text.
    """
    if _CHANNEL.match(content.lstrip().removeprefix("<|start|>assistant")):
        return _split_channels(content)
    if bare := _BARE_CHANNELS.fullmatch(content):
        return bare[1].strip() or None, bare[2].strip()
    thoughts: list[str] = []
    position = 0
    while opening := _OPENING.match(content, position):
        closing = _CLOSING.search(content, opening.end())
        thoughts.append(content[opening.end() : closing.start() if closing else None].strip())
        position = closing.end() if closing else len(content)
    if not thoughts:
        closing = _CLOSING.search(content)
        if closing is None or _OPENING_WITHIN.search(content, 0, closing.start()):
            return None, content
        thoughts, position = [content[: closing.start()].strip()], closing.end()
    text = content[position:].strip()
    if answer := _ANSWER_OPENING.match(text):
        text = _ANSWER_CLOSING.sub("", text[answer.end() :]).strip()
    return "\n\n".join(filter(None, thoughts)) or None, text


def has_reasoning_marks(text: str) -> bool:
    """Whether a text has a mark of the beginning or end of reasoning anywhere, code included."""
    return _PLAIN_MARK.search(text) is not None


def _split_channels(content: str) -> tuple[str | None, str]:
    thoughts: list[str] = []
    answers: list[str] = []
    headers = list(_CHANNEL.finditer(content))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        part = content[header.end() : following.start() if following else None]
        end = _CHANNEL_END.search(part)
        (answers if header[1].lower() == "final" else thoughts).append(part[: end.start() if end else None].strip())
    return "\n\n".join(filter(None, thoughts)) or None, "\n\n".join(answers)
