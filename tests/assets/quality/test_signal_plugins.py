"""Signals of plug-ins: what becomes of their values, limits and failures."""

import logging
from pathlib import Path
from typing import Any

import duckdb
import pandera.polars as pa
import polars as pl
import pytest

from assets.framework.check_files import OpenConnection
from assets.quality.checks import signal_check
from assets.quality.configuration import load_quality_rules
from assets.quality.schema import SIGNALS
from assets.quality.signal_plugins import Limit, Signal, SignalGroup
from resources.plugins import Plugin
from tests.assets.quality.samples import make_dialogue
from tests.plugin_distribution import install, use

SHARE = pa.Column(pl.Float64, pa.Check.in_range(0, 1), description="A share.")


@pytest.fixture
def group() -> SignalGroup:
    return SignalGroup("tests.signals", "A signal.", Signal, frozenset({"words"}))


@pytest.mark.parametrize(
    ("returned", "column", "value"),
    [
        (0.25, SHARE, 0.25),
        (1, SHARE, 1.0),
        (None, SHARE, None),
        (float("nan"), SHARE, None),
        (7, SHARE, None),
        ("many", SHARE, None),
        (ZeroDivisionError("no word"), SHARE, None),
        (["a"], pa.Column(pl.List(pl.String), description="Words."), ["a"]),
    ],
    ids=["fits", "whole number", "none", "not a number", "out of range", "a text", "raises", "a list"],
)
def test_what_a_column_cannot_hold_and_what_raises_is_null(
    monkeypatch: pytest.MonkeyPatch, group: SignalGroup, returned: Any, column: pa.Column, value: Any
) -> None:
    def measure(dialogue: Any) -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned

    use(monkeypatch, group, share=Signal(measure, column))
    assert group.measure([make_dialogue()]) == [{"share": value}]


def test_a_failure_costs_the_value_of_one_dialogue_and_one_warning(
    monkeypatch: pytest.MonkeyPatch, group: SignalGroup, caplog: pytest.LogCaptureFixture
) -> None:
    dialogues = [make_dialogue(dialogue_id=str(number)) for number in range(3)]
    use(monkeypatch, group, share=Signal(lambda dialogue: 1 / int(dialogue.dialogue_id), SHARE))
    with caplog.at_level(logging.WARNING):
        assert group.measure(dialogues) == [{"share": None}, {"share": 1.0}, {"share": 0.5}]
    assert caplog.messages == [
        "plug-in share of acme 1.0 failed for 1 of 3 dialogues, whose value is null; the first: "
        "0: ZeroDivisionError: division by zero"
    ]


@pytest.mark.parametrize(
    ("limit", "value", "reasons"),
    [
        (Limit(least=0.5), 0.4, ("share_beyond_limit",)),
        (Limit(least=0.5), 0.5, ()),
        (Limit(least=0.1, most=0.5), 0.6, ("share_beyond_limit",)),
        (Limit(least=0.5), None, ()),
        (Limit(least=0.5, rejects=False), 0.4, ()),
        (None, 0.4, ()),
    ],
)
def test_a_dialogue_beyond_a_limit_that_rejects_is_rejected(
    monkeypatch: pytest.MonkeyPatch, group: SignalGroup, limit: Limit | None, value: float, reasons: tuple[str, ...]
) -> None:
    use(monkeypatch, group, share=Signal(lambda _: value, SHARE, limit))
    assert group.failed({"share": value}) == reasons
    assert set(reasons) <= group.reasons.keys()


NULLABLE = pa.Column(pl.Float64, nullable=True, description="A share, or nothing.")


@pytest.mark.parametrize(
    ("signal", "rows", "faults"),
    [
        (Signal(len, SHARE), [(0.5, "complete", True)], []),
        (Signal(len, SHARE), [(0.5, "complete", True), (None, "complete", True)], ["no value"]),
        (Signal(len, SHARE), [(0.5, "complete", True), (None, "set_aside", False)], []),
        (Signal(len, NULLABLE), [(0.5, "complete", True), (None, "complete", True)], []),
        (Signal(len, NULLABLE), [(None, "complete", True)], ["no dialogue has a value"]),
        (Signal(len, SHARE, Limit(least=0.5)), [(0.4, "complete", False), (0.6, "complete", True)], []),
        (Signal(len, SHARE, Limit(least=0.5)), [(0.4, "complete", True)], ["not at least 0.5"]),
        (Signal(len, SHARE, Limit(most=0.5, rejects=False)), [(0.6, "complete", False)], ["not at most 0.5"]),
        (Signal(len, SHARE), [], []),
    ],
)
def test_the_check_finds_missing_values_and_those_beyond_the_limit(
    signal: Signal, rows: list[tuple[Any, ...]], faults: list[str]
) -> None:
    check = signal_check(Plugin("share", "acme", "1.0", signal))
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE this_run (dialogue_id VARCHAR DEFAULT 'd', decided_by VARCHAR DEFAULT 'rules', "
            "share DOUBLE, status VARCHAR, accepted BOOLEAN)"
        )
        for row in rows:
            connection.execute("INSERT INTO this_run (share, status, accepted) VALUES (?, ?, ?)", row)
        assert [row["fault"] for row in check.find(OpenConnection(connection, {}))] == faults


def test_another_version_of_a_plug_in_makes_scores_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = load_quality_rules("standard")
    identities = {rules.identity}
    for version in ("1.0", "1.1"):
        use(monkeypatch, SIGNALS, version, share=Signal(len, SHARE))
        identities.add(rules.identity)
    assert len(identities) == 3


@pytest.mark.parametrize(
    ("name", "source", "fault"),
    [
        ("ease", "Signal(len, pa.Column(pl.Float64))", "its column has to have a type and a description"),
        ("ease", "Signal(len, pa.Column(pl.String, description='x'), Limit(least=1))", "a column of numbers"),
        ("ease", "Signal(len, pa.Column(pl.Int64, description='x'), Limit())", "its limit needs `least` or `most`"),
        ("words", "Signal(len, pa.Column(pl.Int64, description='x'))", "the name is taken"),
        ("ease", "len", "it has to be an object of assets.quality.signal_plugins.Signal"),
    ],
)
def test_a_signal_that_cannot_be_used_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: SignalGroup, name: str, source: str, fault: str
) -> None:
    imports = "import pandera.polars as pa, polars as pl\nfrom assets.quality.signal_plugins import Limit, Signal\n"
    install(tmp_path, monkeypatch, {name: "SIGNAL"}, f"{imports}SIGNAL = {source}", group=group.name)
    assert fault in group.faults[0]
