"""Hostile texts of 100,000 characters: no reader raises an exception, and none takes more than two seconds."""

import time

from benchmarks.attacks.tally import Tally
from tests.attacks.texts import READERS, SECONDS, UNITS, text_of


def run() -> Tally:
    """Every reader on every text."""
    tally, slowest = Tally("texts"), (0.0, "", "")
    for unit in UNITS:
        text = text_of(unit)
        for name, read in READERS.items():
            began, fault = time.process_time(), ""
            try:
                read(text)
            except Exception as error:
                fault = f" {type(error).__name__}"
            taken = time.process_time() - began
            slowest = max(slowest, (taken, name, unit))
            tally.count(not fault and taken <= SECONDS, f"{name} on {unit!a}:{fault} {taken:.1f} s")
    tally.note = f"slowest: {slowest[1]} on {slowest[2]!a}, {slowest[0]:.2f} s of CPU"
    return tally
