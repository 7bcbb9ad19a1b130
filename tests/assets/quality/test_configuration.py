"""The rule file and the manual decisions."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.quality.configuration import CONFIGURATIONS, JudgeRules, Weights, load_quality_rules
from assets.quality.decisions import load_decisions
from assets.quality.fingerprint import judging_fingerprint, scored_fingerprint
from assets.quality.prompts import load_prompts
from resources.chat.profile import load_profile
from resources.configuration import ConfigurationError

ONE, TWO = "1" * 32, "2" * 32
CSV = f"dialogue_id,verdict,why\n{ONE},accept,a good one\n{TWO},reject,off the mark\n"


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    """The standard rules, with decisions beside them."""
    content = yaml.safe_load((CONFIGURATIONS / "standard.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**content, "name": "mine", "decisions": "by_hand.csv"}))
    (tmp_path / "by_hand.csv").write_text(CSV)
    return path


def test_decisions_are_beside_the_rules_that_name_them_as_csv_or_yaml(rule_file: Path) -> None:
    path = rule_file.with_name("d.yaml")
    path.write_text(
        f"- {{dialogue_id: '{ONE}', verdict: accept, why: a good one}}\n"
        f"- {{dialogue_id: '{TWO}', verdict: reject, why: off the mark}}\n"
    )
    decisions = load_decisions(load_quality_rules(str(rule_file)).decisions)
    assert decisions[ONE].why == "a good one"
    assert load_decisions(path) == decisions
    assert load_decisions(None) == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "id,verdict\nx,y\n", "first line should be dialogue_id,verdict,why"),
        ("d.csv", "", "first line should be"),
        ("d.csv", f"dialogue_id,verdict,why\n{ONE},maybe,x\n", "line 2: verdict"),
        ("d.csv", f"dialogue_id,verdict,why\n{ONE},accept,\n", "line 2: why"),
        ("d.csv", f"dialogue_id,verdict,why\n{ONE},accept\n", "line 2: why"),
        ("d.csv", "dialogue_id,verdict,why\nnot-an-id,accept,x\n", "line 2: dialogue_id"),
        ("d.csv", CSV + f"{ONE},reject,x\n", f"line 4: dialogue {ONE} is decided twice"),
        ("d.yaml", "verdict: accept\n", "should be a list"),
        ("d.yaml", "- accept\n", "entry 1"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        load_decisions(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decisions": "nowhere.csv"}, "no such file of manual decisions"),
        ({"limits": {"score": 2}, "weights": {"judge": -1}}, r"(?s)limits\.score.*weights\.judge"),
        ({"weights": dict.fromkeys(Weights.model_fields, 0)}, "must weigh something"),
    ],
)
def test_all_faults_of_a_rule_file_are_named(rule_file: Path, changes: dict[str, Any], message: str) -> None:
    content = yaml.safe_load(rule_file.read_text())
    for name, change in changes.items():
        content[name] = {**content[name], **change} if isinstance(change, dict) else change
    rule_file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=message):
        load_quality_rules(str(rule_file))


def test_the_identity_depends_on_the_decisions_and_not_on_the_folder(rule_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    for file in (rule_file, rule_file.parent / "by_hand.csv"):
        (other / file.name).write_bytes(file.read_bytes())
    rules = load_quality_rules(str(rule_file))
    before = rules.identity
    assert before == load_quality_rules(str(other / rule_file.name)).identity
    (rule_file.parent / "by_hand.csv").write_text(CSV.replace("off the mark", "wrong in line 2"))
    assert rules.identity != before


def test_judge_and_rules_make_scores_stale_and_only_the_judge_makes_verdicts_stale(rule_file: Path) -> None:
    book, paper = load_prompts("standard"), load_profile("paper")

    def fingerprints(
        rules: str = "standard", role: str = "judge", model: str = "", judging: str = "by_judge"
    ) -> tuple[str, str]:
        changed = {} if not model else {role: paper.roles[role].model_copy(update={"model": model})}
        profile = paper.model_copy(update={"roles": {**paper.roles, **changed}, "judging": judging})
        loaded = load_quality_rules(rules)
        judges, identity = loaded.judge, loaded.identity
        return scored_fingerprint("d", profile, book, judges, identity), judging_fingerprint("d", profile, book, judges)

    now = fingerprints()
    assert fingerprints(role="weak_student", model="another") == now
    judged_by_another, mine = fingerprints(model="another"), fingerprints(str(rule_file))
    assert judged_by_another[0] != now[0] != mine[0]
    assert judged_by_another[1] != now[1] == mine[1]
    assert judging_fingerprint("e", paper, book, JudgeRules()) != now[1]
    assert judging_fingerprint("d", paper, book, JudgeRules(jury=("judge", "benchmark_judge"))) != now[1]
    alone = fingerprints(judging="rules_alone")
    assert alone[1] != now[1]
    assert fingerprints(judging="rules_alone", model="another") == alone  # it is not asked
