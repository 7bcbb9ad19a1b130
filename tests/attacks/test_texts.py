"""No text of 100,000 characters takes a reader, a screen or a signal more than two seconds of processor time."""

import time

import pytest

from tests.attacks.texts import READERS, SECONDS, UNITS, text_of


@pytest.mark.parametrize("reader", READERS)
def test_no_hostile_text_takes_a_reader_long(reader: str) -> None:
    slow = {}
    for unit in UNITS:
        text = text_of(unit)
        began = time.process_time()
        READERS[reader](text)
        slow[unit] = time.process_time() - began
    assert {unit: taken for unit, taken in slow.items() if taken > SECONDS} == {}
