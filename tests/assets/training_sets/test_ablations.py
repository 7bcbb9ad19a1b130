"""Which ablations a deployment has: their names follow from the scenarios."""

from dataclasses import replace

import pytest

from assets.framework.partitions import VARIANTS
from assets.framework.scenarios.scenario import Scenario, Scenarios
from assets.training_sets.ablations import ablations, variants
from resources.configuration import ConfigurationError
from tests.shipped_scenarios import SCENARIOS


def scenario(position: int, short_name: str) -> Scenario:
    """The scenario `scenario <position>`, with another short name."""
    shipped = next(iter(SCENARIOS.values()))
    values = {"position": position, "short_name": short_name, "title": ""}
    declaration = shipped.declaration.model_copy(update=values)
    return replace(shipped, name=f"scenario_{position}", declaration=declaration)


def scenarios(*short_names: str) -> Scenarios:
    """Scenarios of these short names, in this order."""
    return Scenarios(scenario(position, name) for position, name in enumerate(short_names))


@pytest.mark.parametrize(
    ("short_names", "names"),
    [
        ((), ()),
        (("a",), ()),
        (("b", "a"), ("b", "a")),
        (("a", "b", "c"), ("a", "b", "c", "a_b", "a_c", "b_c")),
        (("a", "b", "c", "d"), ("a", "b", "c", "d", "a_b_c", "a_b_d", "a_c_d", "b_c_d")),
    ],
)
def test_each_scenario_alone_and_all_but_one_each_are_ablations(
    short_names: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert tuple(ablations(scenarios(*short_names))) == names


def test_the_shipped_scenarios_give_the_papers_ablations() -> None:
    assert ablations(SCENARIOS) == {
        "me": ("error_correction",),
        "db": ("debate",),
        "ep": ("analogy",),
        "me_db": ("error_correction", "debate"),
        "me_ep": ("error_correction", "analogy"),
        "db_ep": ("debate", "analogy"),
    }
    assert variants(SCENARIOS) == (*VARIANTS, "me", "db", "ep", "me_db", "me_ep", "db_ep")


@pytest.mark.parametrize(
    ("short_names", "faults"),
    [
        (("cot", "b"), ["'cot' would be the training set of scenario 0, and is another set's name already"]),
        (("untuned", "b"), ["'untuned' would be the training set of scenario 0"]),
        (("boost", "qa", "c"), ["'boost_qa' would be the training set of scenario 0 and scenario 1"]),
        (("cot", "ori"), ["'cot' would be", "'ori' would be"]),
        (("a", "a"), ["'a' would be the training set of scenario 0", "'a' would be the training set of scenario 1"]),
    ],
)
def test_a_name_that_another_training_set_has_is_an_error(short_names: tuple[str, ...], faults: list[str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ablations(scenarios(*short_names))
    assert all(fault in str(raised.value) for fault in faults)
