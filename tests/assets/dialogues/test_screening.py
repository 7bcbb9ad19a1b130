import pytest

from assets.dialogues.screening import ScreenContext, screen, without_heading

GOOD = (
    "We start with three apples and add four more, so 3 + 4 = 7. The answer is 7.",
    "7",
    "x = 3; y = 4",
    "The answer is `len(items)`.",
    "```python\ndef longest(words):\n    return max(words, key=len)\n```",
    "for i in range(10):\n    print(i)\n    total += values[i]\nreturn total",
    r"$$\int_0^1 x^2\,dx = \frac{1}{3}$$",
    "Let α and β be the roots; then α + β = 5 and αβ = 6.",
    "I'm sorry, I forgot to carry the one. I can't believe I missed it: 17 + 5 = 22.",
    "Dear Ms Müller, I cannot help but admire the Eiffel Tower and Sacré-Cœur. It was a lovely trip to Paris.",
    "The teacher: a person who helps pupils learn.",
    "- Ragù alla Bolognese\n- Risotto alla Milanese\n- Spaghetti alla Carbonara\n- Pizza Napoletana",
    "Step 1: add. Step 2: add. Step 3: add. Answer: 9",
    "| a | b |\n|---|---|\n| 1 | 2 |\n" + "".join(f"| {n} | {n * n} |\n" for n in range(3, 30)),
    "Dear Mr Jones, I am sorry that I cannot attend on Friday. I hope that we can find another date.",
    "I cannot give a diagnosis, but a sore throat with a mild fever often comes with a cold.",
    "Use `<s>` for struck text.\n```html\n<s>19.99</s>\n```",
    "The template turns them into <|im_start|>user ... <|im_end|>, so the text has these tokens.",
    "Here is the translation into German:\n\nDie Katze sitzt auf dem Fenster und schaut den Vögeln im Garten zu.",
    "👍",
    "Hahahahahahahahaha! said the joker, and went away.",
    "Here is the scene:\n\nTeacher: Who knows it?\nMaria: I do.\nTeacher: Very good, Maria!",
    "The table has these columns.\n\nStudent: the name\nGrade: a letter\nYear: a number",
    "**System:** the parts of the engine.\n\n**Largest:** the boiler.",
    # lines that only look like another speaker's heading
    "Two words matter here.\nSystem: a set of parts that work together.",
    "Put this into the file:\n```yaml\nuser: admin\nsystem: linux\n```\nThen start the server.",
    "The program prints this:\n```\nTeacher: Ann\nStudent: Tom\n```",
)


@pytest.mark.parametrize("text", GOOD)
def test_good_utterances_pass(text: str) -> None:
    assert screen(text, "stop") is None


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("empty", ""),
        ("empty", " \n ... \n"),
        ("control_tokens", "The answer is 7.<|im_end|>"),
        ("prompt_marks", 'The answer is 7.\n"""\nPlease give me advice.'),
        ("other_speaker", "The answer is 7.\nTeacher: Well done!"),
        ("other_speaker", "I agree.\n\n**Student B:** I do not."),
        ("other_speaker", "Sure.\nUser: And 5 + 5?\nAssistant: 10"),
        ("other_speaker", "Sure.\n**User:** And 5 + 5?"),
        ("other_speaker", "Sure.\n### Assistant: It is 10."),
        ("other_speaker", "Step two is wrong. Student: Oh, I see, I add. Teacher: Very good, and now?"),
        ("other_speaker", 'Step two is wrong. The student replies, "I see." The teacher says, "Exactly."'),
        ("other_speaker", "The answer is 7.\n\n[Teacher]: Good work!"),
        ("other_speaker", "The answer is 7.\nStudent：Thank you"),
        ("other_speaker", "The answer is 7.\n\nHuman: What is 5 + 5?"),
        ("prompt_echo", "The texts between lines of quotation marks are material. The answer is 12."),
        ("refusal", "I must decline to answer this, as it goes against my content guidelines."),
        ("refusal", "I'm not comfortable discussing that topic. Let us talk of something else."),
        ("refusal", f"{'It is a long story. ' * 4}In the end I have to say that it is against my guidelines."),
        ("control_tokens", "<think>no</think> Your process is incorrect."),
        ("repetition", "We add one and one to get two. " * 8),
        ("repetition", "so it is the same as before and then " * 12),
        ("repetition", "Only the first names, which are jimjimjimjimjimjimjimjimjim."),
        ("repetition", "1/3 = 0." + "3" * 600),
        ("refusal", "I'm sorry, but I can't help with that."),
        ("refusal", "As an AI language model, I do not have personal opinions about apples."),
        ("refusal", "I cannot answer this question."),
        ("not_english", "Tom tiene tres manzanas y compra cuatro más, así que ahora tiene siete manzanas en total."),
        ("not_english", "汤姆有三个苹果，又买了四个，所以现在一共有七个苹果。"),
        ("not_english", "У Тома три яблока, он покупает ещё четыре, значит, теперь у него семь яблок."),
    ],
)
def test_what_is_broken_is_refused(reason: str, text: str) -> None:
    assert screen(text, "stop") == reason


@pytest.mark.parametrize(
    ("speakers", "reason"), [((), None), (("student",), None), (("guide", "student"), "other_speaker")]
)
def test_the_names_of_the_dialogues_speakers_are_headings(speakers: tuple[str, ...], reason: str | None) -> None:
    assert screen("The answer is 7.\nGuide: Well done!", "stop", ScreenContext(speakers)) == reason


@pytest.mark.parametrize(("finish_reason", "reason"), [("length", "cut_off"), ("content_filter", "filtered")])
def test_what_the_endpoint_broke_off_is_refused(finish_reason: str, reason: str) -> None:
    assert screen("The answer is", finish_reason) == reason


@pytest.mark.parametrize(
    "heading", ["Student A: ", "**Student A:** ", "student A:\n", "[Student A]: ", "# Student A: "]
)
def test_ones_own_heading_is_taken_off(heading: str) -> None:
    assert without_heading(f"{heading}I think it is 7.", "student A") == "I think it is 7."


def test_anothers_heading_is_left_to_the_screen() -> None:
    assert without_heading("Student B: it is 7.", "student A") == "Student B: it is 7."


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("User: Thanks!\nAssistant: Gladly.", ScreenContext(task="Continue this chat.\nUser: Hi\nAssistant: Hello")),
        ("The answer ends with <|im_end|>", ScreenContext(task="Which token ends a turn, <|im_end|> or </s>?")),
        ("I cannot help with this request.", ScreenContext(reference="I'm sorry, but I can't help with that.")),
        (
            "Les enfants jouent dans le jardin pendant que leurs parents préparent le repas du soir.",
            ScreenContext(task="Translate into French: The children play in the garden."),
        ),
        (
            "Ich habe zuerst die beiden kleineren zahlen addiert und danach das ergebnis durch drei geteilt.",
            ScreenContext(language="German"),
        ),
    ],
    ids=["headings", "tokens", "refusal", "other language", "language"],
)
def test_what_the_seed_has_is_allowed(text: str, context: ScreenContext) -> None:
    assert screen(text, "stop", context) is None
    assert screen(text, "stop") is not None


def test_an_utterance_that_repeats_its_instructions_is_refused() -> None:
    context = ScreenContext(
        instructions="Say only what the question needs and give the line of thought in two sentences."
    )
    assert screen("I say only what the question needs and give the line of thought in my words.", "stop", context)
    assert screen("I give the line of thought that the question needs.", "stop", context) is None
