"""Cards that the hub could not read."""

import pytest

from assets.hub_publication.cards import check_card
from resources.hub import HubError


def card(configuration: str) -> str:
    return f"---\nlicense: mit\nconfigs:\n{configuration}\n---\n\n# Title\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\n- a\n- b\n---\n# Title\n", "the hub cannot read the card"),
        (card("- data_files: data/train-*.parquet"), "must include `config_name`"),
        (card("- config_name: default\n  data_files: {train: 1}"), "the hub cannot read the card"),
        (card("- config_name: default\n  data_files: data/test-*.parquet"), "default: data/test-*.parquet"),
        (card("- config_name: a\n  data_files:\n  - {split: test, path: [x/*.jsonl]}"), "a: x/*.jsonl"),
    ],
)
def test_a_card_is_refused(text: str, message: str) -> None:
    with pytest.raises(HubError) as refused:
        check_card(text, "dataset", ["README.md", "data/train-00000.parquet"])
    assert message in str(refused.value)


def test_a_card_whose_configurations_match_files_passes() -> None:
    check_card(card("- config_name: default\n  data_files: data/*.parquet"), "dataset", ["data/train-00000.parquet"])
