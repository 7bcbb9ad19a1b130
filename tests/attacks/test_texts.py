"""No text of 100,000 characters takes a reader, a screen or a signal longer than a second of processor time."""

import time

import pytest

from tests.attacks.texts import READERS, SECONDS, UNITS, text_of


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_is_done_with_a_hostile_text_in_a_second(reader: str) -> None:
    slow = {}
    for unit in UNITS:
        text = text_of(unit)
        began = time.process_time()
        READERS[reader](text)
        slow[unit] = time.process_time() - began
    assert {unit: taken for unit, taken in slow.items() if taken > SECONDS} == {}
