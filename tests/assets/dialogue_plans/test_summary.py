import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogue_plans.summary import PartnerReuse, partner_reuse, scenario_by_split
from tests.shipped_scenarios import SCENARIOS


def analogies(*pairs: tuple[str, str | None]) -> pl.DataFrame:
    rows = [
        {
            "seed_id": asker,
            "partner_seed_id": partner,
            "scenario": "analogy" if partner else "debate",
            "split": "train",
        }
        for asker, partner in pairs
    ]
    return DIALOGUE_PLANS.frame(rows)


def test_partners_are_counted_with_those_of_several_askers() -> None:
    plans = analogies(("a", "b"), ("b", "c"), ("d", "c"), ("c", None))
    assert partner_reuse(plans) == PartnerReuse(partners=2, of_several=1)
    assert partner_reuse(DIALOGUE_PLANS.empty()) == PartnerReuse(0, 0)


def test_every_scenario_has_a_line_with_every_split() -> None:
    lines = scenario_by_split(analogies(("a", "b"), ("b", None)), SCENARIOS)
    assert lines == [
        {"scenario": "error_correction", "train": 0, "validation": 0, "test": 0},
        {"scenario": "debate", "train": 1, "validation": 0, "test": 0},
        {"scenario": "analogy", "train": 1, "validation": 0, "test": 0},
    ]
