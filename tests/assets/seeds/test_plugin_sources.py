"""Sources of seeds that a plug-in reads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from assets.seeds.configuration import SEED_SOURCES, SeedSource
from assets.seeds.reading import read_rows
from assets.seeds.rows import SeedsError, SourceRow
from tests.plugin_distribution import use

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure


class Counting(SeedSource):
    """Sums, up to a number."""

    kind: Literal["counting"]
    up_to: int

    def read_rows(self) -> Iterator[dict[str, Any]]:
        for number in range(self.up_to):
            if number == 3:
                raise ConnectionError("no answer")
            yield {"question": f"{number} + 1?", "answer": str(number + 1)}


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED_SOURCES, counting=Counting)


def test_rows_of_a_plug_in_are_numbered_and_named_by_its_kind(configure: "Configure") -> None:
    configuration = configure({"files": None, "plugin": {"kind": "counting", "up_to": 2}})
    assert list(read_rows(configuration.sources[0], configuration)) == [
        SourceRow("counting", 0, {"question": "0 + 1?", "answer": "1"}),
        SourceRow("counting", 1, {"question": "1 + 1?", "answer": "2"}),
    ]


def test_a_plug_in_that_raises_fails_the_reading_with_its_name(configure: "Configure") -> None:
    configuration = configure({"files": None, "plugin": {"kind": "counting", "up_to": 9}})
    with pytest.raises(SeedsError, match=r"plug-in counting of acme 1\.0: ConnectionError: no answer"):
        list(read_rows(configuration.sources[0], configuration))
