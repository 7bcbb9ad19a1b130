"""The rule file and the manual decisions."""

from pathlib import Path

import pytest
import yaml

from assets.quality.configuration import CONFIGURATIONS, load_quality_rules
from assets.quality.decisions import load_decisions
from assets.quality.fingerprint import judging_fingerprint, scored_fingerprint
from assets.quality.prompts import load_prompts
from resources.chat.profile import Role, load_profile
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


def test_decisions_lie_beside_the_rules_that_name_them(rule_file: Path) -> None:
    assert load_decisions(load_quality_rules(str(rule_file)).decisions)[ONE].why == "a good one"


def test_yaml_decisions_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(CSV)
    (tmp_path / "d.yaml").write_text(
        f"- {{dialogue_id: '{ONE}', verdict: accept, why: a good one}}\n"
        f"- {{dialogue_id: '{TWO}', verdict: reject, why: off the mark}}\n"
    )
    assert load_decisions(tmp_path / "d.csv") == load_decisions(tmp_path / "d.yaml")


def test_without_a_file_nothing_is_decided() -> None:
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


def test_a_missing_decisions_file_is_a_fault_at_load(rule_file: Path) -> None:
    (rule_file.parent / "by_hand.csv").unlink()
    with pytest.raises(ConfigurationError, match="no such file of manual decisions"):
        load_quality_rules(str(rule_file))


def test_all_faults_of_a_rule_file_are_named_at_once(rule_file: Path) -> None:
    content = yaml.safe_load(rule_file.read_text())
    content["limits"]["score"] = 2
    content["weights"]["judge"] = -1
    rule_file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=r"(?s)limits\.score.*weights\.judge"):
        load_quality_rules(str(rule_file))


def test_weights_that_weigh_nothing_are_a_fault(rule_file: Path) -> None:
    content = yaml.safe_load(rule_file.read_text())
    content["weights"] = dict.fromkeys(content["weights"], 0)
    rule_file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match="must weigh something"):
        load_quality_rules(str(rule_file))


def test_an_edited_decision_changes_the_rules_identity_at_once(rule_file: Path) -> None:
    rules = load_quality_rules(str(rule_file))
    before = rules.identity
    (rule_file.parent / "by_hand.csv").write_text(CSV.replace("off the mark", "wrong in line 2"))
    assert rules.identity != before


def test_where_the_rules_lie_is_no_part_of_their_identity(rule_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    for file in (rule_file, rule_file.parent / "by_hand.csv"):
        (other / file.name).write_bytes(file.read_bytes())
    assert load_quality_rules(str(rule_file)).identity == load_quality_rules(str(other / rule_file.name)).identity


def test_another_judge_makes_scores_stale_and_another_student_does_not() -> None:
    book, rules, laptop = load_prompts("standard"), load_quality_rules("standard"), load_profile("laptop")

    def with_model(role: Role) -> str:
        roles = {**laptop.roles, role: laptop.roles[role].model_copy(update={"model": "another"})}
        return scored_fingerprint("d", laptop.model_copy(update={"roles": roles}), book, rules.identity)

    now = scored_fingerprint("d", laptop, book, rules.identity)
    assert with_model(Role.JUDGE) != now
    assert with_model(Role.WEAK_STUDENT) == now


def test_other_rules_make_scores_stale_but_not_verdicts(rule_file: Path) -> None:
    book, laptop = load_prompts("standard"), load_profile("laptop")
    standard, mine = load_quality_rules("standard"), load_quality_rules(str(rule_file))
    assert scored_fingerprint("d", laptop, book, standard.identity) != scored_fingerprint(
        "d", laptop, book, mine.identity
    )
    assert judging_fingerprint("d", laptop, book) != judging_fingerprint("e", laptop, book)
