"""How often the rules and the judge decide as a careful reader does, on labelled cases.

    python -m benchmarks.judgement --cases DIR
    python -m benchmarks.judgement --cases DIR --json judgement.json --show

Reads every `*.jsonl` file below DIR; a row's fields say what it is (`CASES` below lists the kinds), and files of other
rows are left out. The
product's own functions decide. Dialogues are played through the real turn loop and scored by the real rules: once with
a judge that answers the rubric truthfully from the labels, and once with one that finds nothing wrong, which shows what
the rules prove alone.

The JSON has, by the file's name, the number of cases, of right decisions, of good ones that were rejected and of bad
ones that were accepted.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from assets.answers.compare import compare_final
from assets.answers.mentions import gives_away_result
from assets.answers.read import read_final
from assets.dialogues.screening import ScreenContext, screen, without_heading
from assets.quality.reference_leaks import reference_mentions
from assets.quality.signals import answer_verdict
from assets.quality.teacher_claims import claim_of
from benchmarks.judged_dialogues import judge_cases

Case = Mapping[str, Any]
SPEAKERS = ("teacher", "student", "student A", "student B", "student C")


@dataclass
class Counts:
    """The decisions about the cases of one file."""

    cases: int = 0
    right: int = 0
    false_rejections: int = 0  # good ones that were rejected
    false_acceptances: int = 0  # bad ones that were accepted
    wrong: list[str] = field(default_factory=list)  # each in words

    def add(self, outcome: str | None, words: str = "") -> None:
        """Count one decision: None where it is right, else `rejection` or `acceptance`."""
        self.cases += 1
        if outcome is None:
            self.right += 1
            return
        self.false_rejections += outcome == "rejection"
        self.false_acceptances += outcome == "acceptance"
        self.wrong.append(f"false {outcome}: {words}")


def screening(case: Case) -> tuple[str | None, str]:
    """An utterance that passes the screens, or not. A note that speaks of the task stands in for the seed."""
    note = case.get("note", "")
    task = case.get("question") or (note if re.search(r"\b(?:task|asked)\b", note) else "")
    text = without_heading(case["text"], case.get("speaker", "student"))
    reason = screen(text, "stop", ScreenContext(SPEAKERS, task))
    passes = case["expected"] == "pass"
    if (reason is None) == passes:
        return None, ""
    return ("rejection" if passes else "acceptance"), f"{reason}: {case['text'][:100]!r}"


def claim(case: Case) -> tuple[str | None, str]:
    """What a teacher's sentence says of an answer."""
    found = claim_of(case["text"])
    if found == case["expected"]:
        return None, ""
    return ("acceptance" if found == "unclear" else "rejection"), f"read as {found}: {case['text']!r}"


def advice(case: Case) -> tuple[str | None, str]:
    """Whether advice states the result, and what it says of the answer."""
    states_result = gives_away_result(case["advice"], case["reference_final"], case["known"])
    found = claim_of(case["advice"])
    if states_result != case["expected_tells"]:
        outcome = "rejection" if states_result else "acceptance"
        return outcome, f"states the result: {states_result}: {case['advice']!r}"
    if found != case["expected_claim"]:
        return ("acceptance" if found == "unclear" else "rejection"), f"read as {found}: {case['advice']!r}"
    return None, ""


def betrayal(case: Case) -> tuple[str | None, str]:
    """Whether an utterance mentions a hidden reference."""
    found = bool(reference_mentions(case["text"], by_reviewer=False))
    if found == case["expected"]:
        return None, ""
    return ("rejection" if found else "acceptance"), repr(case["text"])


def _verdict(found: str, expected: str, words: str) -> tuple[str | None, str]:
    """`expected` names what is right, such as `right (or unknown)`; `missing` is a kind of wrong."""
    allowed = re.findall(r"right|wrong|unknown|missing", expected)
    if found in allowed:
        return None, ""
    return ("acceptance" if "wrong" in allowed else "rejection"), f"{found}, expected {expected}: {words}"


def pair(case: Case) -> tuple[str | None, str]:
    """Whether two final answers are the same."""
    found = compare_final(case["given"], case["reference"], case["domain"])
    return _verdict(found, case["expected"], f"{case['given']!r} and {case['reference']!r}")


def closing(case: Case) -> tuple[str | None, str]:
    """Whether a closing answer has the reference's result."""
    found = answer_verdict(case["answer"], case["reference_final"], case["domain"])
    return _verdict(found, case["expected"], f"{case['answer']!r}, reference {case['reference_final']!r}")


def reference(case: Case) -> tuple[str | None, str]:
    """The final answer that is read from a reference text."""
    found = read_final(case["reference"], case["domain"])
    if found in case["expected_any_of"]:
        return None, ""
    return ("rejection" if found is None else "acceptance"), f"{found!r} from {case['reference']!r}"


Decide = Callable[[Case], tuple[str | None, str]]
# What distinguishes the rows of a kind of case, and what decides it.
CASES: tuple[tuple[Callable[[Case], bool], Decide], ...] = (
    (lambda case: "expected_tells" in case, advice),
    (lambda case: {"given", "reference"} <= case.keys(), pair),
    (lambda case: {"answer", "reference_final", "expected"} <= case.keys(), closing),
    (lambda case: "expected_any_of" in case, reference),
    (lambda case: isinstance(case.get("expected"), bool), betrayal),
    (lambda case: case.get("expected") in ("right", "wrong", "unclear"), claim),
    (lambda case: "text" in case and case.get("expected") in ("pass", "refuse"), screening),
)


def is_dialogue(case: Case) -> bool:
    """Whether a row is a whole dialogue."""
    return ("lines" in case and "good" in case) or ("turns" in case and case.get("expected") in ("accept", "reject"))


def measure(rows: Iterable[Case]) -> dict[str, Counts]:
    """The decisions about the rows of one file; of dialogues also those of the rules alone."""
    rows = list(rows)
    if rows and is_dialogue(rows[0]):
        return {name: _counted(judge_cases(rows, name)) for name in ("truthful", "all_fine")}
    counts = Counts()
    for row in rows:
        counts.add(*next(decide for is_kind, decide in CASES if is_kind(row))(row))
    return {"": counts}


def read_cases(path: Path) -> list[Case] | None:
    """The rows of a file; None where they are no labelled cases."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (UnicodeDecodeError, ValueError):
        return None
    are_cases = all(isinstance(row, dict) and (is_dialogue(row) or any(kind(row) for kind, _ in CASES)) for row in rows)
    return rows if rows and are_cases else None


def _counted(outcomes: Iterable[tuple[str | None, str]]) -> Counts:
    counts = Counts()
    for outcome, words in outcomes:
        counts.add(outcome, words)
    return counts


def names_of(paths: Iterable[Path]) -> dict[Path, str]:
    """Each file by its name without suffix; by folder and name too where several files have the same."""
    paths = list(paths)
    several = {stem for stem, count in Counter(path.stem for path in paths).items() if count > 1}
    return {path: f"{path.parent.name}_{path.stem}" if path.stem in several else path.stem for path in paths}


def main() -> None:
    """Measure, print a table, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=Path, required=True, help="folder with the case files")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--show", action="store_true", help="print every wrong decision")
    options = parser.parse_args()
    kinds: dict[str, Counts] = {}
    files = {path: rows for path in sorted(options.cases.rglob("*.jsonl")) if (rows := read_cases(path))}
    for path, name in names_of(sorted(files, key=lambda one: (one.stem, str(one)))).items():
        rows = files[path]
        for judge, counts in measure(rows).items():
            kinds[name if judge in ("", "truthful") else f"{name}:{judge}"] = counts
    table = RichTable("kind", "cases", "right", "", "good ones rejected", "bad ones accepted")
    for name, counts in kinds.items():
        share = f"{counts.right / counts.cases:.1%}" if counts.cases else "–"
        numbers = (counts.cases, counts.right, share, counts.false_rejections, counts.false_acceptances)
        table.add_row(name, *map(str, numbers))
    console = Console()
    console.print(table)
    if options.show:
        for name, counts in kinds.items():
            for words in counts.wrong:
                console.print(f"{name}: {words}", markup=False, soft_wrap=True)
    if options.json:
        figures = {
            name: {key: value for key, value in asdict(c).items() if key != "wrong"} for name, c in kinds.items()
        }
        options.json.write_text(json.dumps({"kinds": figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
