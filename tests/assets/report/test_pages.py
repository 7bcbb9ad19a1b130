"""The page and the Markdown: complete, escaped, loading nothing."""

import re
from typing import Any

import pytest

from assets.report.checks import active_content
from assets.report.coverage import NOT_SCORED, OLDER_RELEASES, missing_with_commands
from assets.report.findings import findings
from assets.report.formatting import p_value, points, title
from assets.report.making import make_report
from assets.report.published import load_published
from assets.training_sets.ablations import ablations
from assets.training_sets.masks import make_masked
from assets.training_sets.preferences import make_preferences
from tests.assets.report.conftest import COLUMNS
from tests.shipped_scenarios import SCENARIOS

HOSTILE = '<script>alert(1)</script><img src="https://x.example/i.png" onerror="alert(2)"> {{ 7 * 7 }}'


@pytest.fixture
def said(marks: Any) -> Any:
    """A report in which a model wrote what should do nothing."""
    marks.answer("ori", "sums", [False, True], title="Sums & <b>co</b>")
    marks.answer("boost_qa", "sums", [True, False], title="Sums & <b>co</b>", output=HOSTILE)
    return marks


def test_what_a_model_wrote_is_shown_and_does_nothing(said: Any) -> None:
    report = said.report()
    page = said.page(report)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "<b>co</b>" not in page
    assert active_content(page) == []
    text = said.lake.store.get(f"{report.folder}/report.md").decode()
    assert not re.search("<script>|<img", text)


@pytest.mark.parametrize(
    ("tag", "is_active"),
    [
        ("<script>", True),
        ('<img src="x.png">', True),
        ('<a href="https://x.example">', True),
        ('<p onclick="x()">', True),
        ('<a href="../../dialogue_browser/0a/1b/index.html">', False),
        ('<a href="../../dialogue_browser/../x/index.html">', True),
        ('<a href="../../other/0a/index.html">', True),
        ('<a href="../../dialogue_browser/0a/">', True),
    ],
)
def test_what_loads_runs_or_leads_elsewhere_than_to_the_dialogue_browser_is_found(tag: str, is_active: bool) -> None:
    assert bool(active_content(f"<body>{tag}</body>")) == is_active


def test_the_page_is_complete_and_accessible(whole_page: str) -> None:
    for shown in ("Table 1", "Table 2", "Table 3", "Table 4", "51.3", "paper, LLaMA-3-8B"):
        assert shown in whole_page
    tables = whole_page.count("<table>")
    assert tables == whole_page.count("<caption>") == whole_page.count("<thead>") > 10
    assert whole_page.count('scope="row"') > tables
    assert whole_page.count("<svg") == whole_page.count('<svg role="img" aria-label="') >= 5
    assert "currentColor" in whole_page
    assert "#010203" not in whole_page
    assert "So small a run shows nothing about the method." in whole_page
    assert "It helped" not in whole_page


def test_figures_whose_questions_share_few_sources_are_marked_and_the_mark_is_explained(
    whole_page: str, reported: Any
) -> None:
    made, report = reported
    text = made.lake.store.get(f"{report.folder}/report.md").decode()
    for shown in (whole_page, text):
        assert "† Questions share fewer than 20 sources" in shown
        assert "MATH: 7" in shown
        assert re.search(r"\d to \d+\\?\.\d †", shown)
    assert whole_page.count('class="soft note"') < whole_page.count("<table>")


def test_training_seeds_stand_beside_their_mean(marks: Any) -> None:
    for base, right in (("smollm2-135m", [True, True]), ("smollm2-135m-seed1", [True, False])):
        marks.answer("ori", "sums", right, base=base)
    marks.write()
    report = make_report(marks.lake, SCENARIOS, ["smollm2-135m"], {"smollm2-135m-seed1": "smollm2-135m"})
    page = marks.page(report)
    assert "2 seeds: 50.0 to 100.0" in page
    assert "smollm2-135m-seed1, original answers (a seed of smollm2-135m)" in page


@pytest.mark.parametrize("base", ["llama-3-8b", "qwen2.5-7b", "mistral-7b"])
def test_every_figure_of_the_papers_tables_is_beside_ours(marks: Any, base: str) -> None:
    for column in COLUMNS:
        marks.answer("ori", column.lower(), [True, False, False, False], base=base, column=column)
    report = marks.report()
    text = marks.lake.store.get(f"{report.folder}/report.md").decode().replace("\\", "")
    published = load_published().bases[base]
    for variant, figures in published.benchmarks.items():
        ours = "25.0" if variant == "ori" else "–"
        cells = " | ".join(f"{ours} (paper {figure:.2f})" for figure in figures)
        assert f"| {title(report.numbers, variant)} | {cells} |" in text
        assert f"{published.averages[variant]:.1f}" in text


def test_the_gains_on_further_multiple_choice_are_beside_ours(marks: Any) -> None:
    for column, right in (("MathQA", [True, True]), ("MATH-MC", [True, False]), (None, [True, True])):
        marks.answer("ori", f"asked {column}", [False, False], column=column)
        marks.answer("boost_qa", f"asked {column}", right, column=column)
    page = marks.page(marks.report())
    for name, ours, paper in (("best", "+100.0", "+31.5"), ("mean", "+75.0", "+15.5")):
        row = f'<th scope="row">{name} gain, further multiple choice, 2 of 8</th>{"<td>–</td>" * 3}'
        assert f"{row}<td>{ours}</td><td>{paper}</td>" in page


def test_without_scores_of_a_variant_the_page_shows_dashes(marks: Any) -> None:
    marks.answer("untuned", "sums", [True, False])
    page = marks.page(marks.report())
    assert "cannot be compared yet" in page
    assert "<td>–</td>" in page


def test_what_is_missing_has_its_commands(marks: Any) -> None:
    marks.answer("untuned", "sums", [True, False])
    marks.answer("ori", "sums", [True, False])
    marks.answer("untuned", "words", [True, False])
    report = marks.report()
    page, text = marks.page(report), marks.lake.store.get(f"{report.folder}/report.md").decode()
    options = " ".join(f"--variant {name}" for name in ablations(SCENARIOS))
    for command in (
        "master-dagster train --base smollm2-135m --variant boost_qa",
        "master-dagster train --base smollm2-135m --variant random_aug --variant spelling_aug",
        f"master-dagster train --base smollm2-135m {options}",
        f"master-dagster evaluate --base smollm2-135m {options}",
        "dg launch --assets gradient_features",
        "master-dagster train --base smollm2-135m --variant tagcos",
        "master-dagster evaluate --base smollm2-135m --variant ori",
    ):
        assert re.search(rf"[>\n]{command}[<\n]", page)
        assert f"`{command}`" in text
    assert "cot_collection needs its rows named in the comparison rules" in page
    assert page.count("optional: score them to compare") == 2
    assert "--variant dpo" not in page  # no such set was made


def test_sets_that_were_made_of_the_same_dialogues_are_offered(marks: Any) -> None:
    for name in ("apples", "paint"):
        marks.tiny.change(name, finals=(None, "wrong", None, "right"))
    make_preferences(marks.lake, marks.release, SCENARIOS)
    make_masked(marks.lake, marks.release, "boost_qa_final", SCENARIOS)
    marks.answer("ori", "sums", [True, False])
    page = marks.page(marks.report())
    for variant in ("dpo", "boost_qa_final"):
        assert f"master-dagster train --base smollm2-135m --variant {variant}" in page
    assert "Which turns carry loss" not in page


def test_masks_and_other_forms_have_sections_of_their_own(marks: Any) -> None:
    for variant, right in (("ori", 4), ("boost_qa", 10), ("boost_qa_final", 6), ("dpo", 8)):
        marks.answer(variant, "sums", [True] * right + [False] * (12 - right))
    page = marks.page(marks.report())
    assert "<h2" in page and "Which turns carry loss" in page
    assert '<th scope="row">BOOST-QA, loss on the last turn</th><td>−33.3' in page
    assert "Preference pairs, labelled answers and critiques" in page
    assert "labelled answers (KTO)" not in page


@pytest.mark.parametrize(
    ("row", "commands"),
    [
        (
            {"what": "scores of b", "which": ["untuned"], "why": NOT_SCORED},
            ["master-dagster evaluate --base b --variant ori"],
        ),
        (
            {"what": "scores of b", "which": ["b-seed1|ori"], "why": "was not asked words, as others were"},
            ["master-dagster evaluate --base b-seed1 --variant ori"],
        ),
        (
            {"what": "comparisons of b", "which": ["0a", "1b"], "why": OLDER_RELEASES},
            ["master-dagster train --base b --variant ori", "master-dagster evaluate --base b --variant ori"],
        ),
    ],
)
def test_the_commands_name_the_base_that_was_trained_and_its_variants(row: Any, commands: list[str]) -> None:
    numbers = {"missing": [row], "partitions": [{"base": "b", "of": "b", "variant": "ori"}]}
    assert [one["commands"] for one in missing_with_commands(numbers)] == [commands]


def test_tables_of_benchmarks_that_were_not_asked_are_left_out(marks: Any) -> None:
    for variant in ("ori", "boost_qa"):
        marks.answer(variant, "small_choice", [True, False])
    page = marks.page(marks.report())
    assert "on the paper's benchmarks" not in page.replace("&#39;", "'")
    assert "each of the paper's benchmarks" not in page.replace("&#39;", "'")
    assert "further multiple choice, 0 of" not in page
    assert "on further benchmarks" in page


def comparison(**values: Any) -> dict[str, Any]:
    row = {"base": "b", "variant": "boost_qa", "against": "ori", "benchmarks": 7, "items": 9000, "difference": 0.05}
    return {"bases": ["b"], "by_variant": [{**row, **values}], "scenarios": [], "paper": {"smallest_gain": 0.0286}}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"low": 0.02, "high": 0.08, "p_holm": 0.01}, "It helped."),
        ({"low": 0.001, "high": 0.08, "p_holm": 0.2}, "not significantly"),
        ({"low": -0.08, "high": -0.02, "p_holm": 0.01}, "It did harm."),
        ({"low": -0.01, "high": 0.02, "p_holm": 0.6}, "No detectable difference."),
        ({"low": -0.1, "high": 0.1, "p_holm": 1.0}, "a gain as small as the paper's"),
    ],
)
def test_a_verdict_follows_from_its_interval(values: dict[str, Any], verdict: str) -> None:
    assert verdict in findings(comparison(**values), [])[0]


def test_nothing_is_concluded_from_a_run_that_is_too_small() -> None:
    (sentence,) = findings(comparison(low=0.02, high=0.08, p_holm=0.001), ["few rows"])
    assert "It helped" not in sentence


def test_a_scenario_that_helped_is_named() -> None:
    interval = {"difference": 0.04, "low": 0.01, "high": 0.07, "p_holm": 0.02}
    added = {"base": "b", "against": "me_db", "added": ["analogy"], **interval}
    titles = {name: SCENARIOS.title(name) for name in SCENARIOS}
    named = {"ablations": ablations(SCENARIOS), "scenario_titles": titles, "scenarios": [added]}
    numbers = comparison(low=0.02, high=0.08, p_holm=0.01) | named
    assert "these helped: analogy added to error correction, debate" in findings(numbers, [])[1]


def test_numbers_are_shown_as_people_write_them() -> None:
    assert (points(-0.0512), points(0.03), p_value(0.0004), p_value(0.04)) == ("−5.1", "+3.0", "< 0.001", "0.040")
