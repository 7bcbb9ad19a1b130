"""Wrong programs that try to pass their tests: none does, and none ends the run."""

from concurrent.futures import ThreadPoolExecutor

from benchmarks.attacks.tally import Tally
from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import require_sandbox
from tests.attacks.forgeries import HOSTILE, run_forgery


def run() -> Tally:
    """Every program once, two at a time."""
    tally = Tally("forgeries")
    try:
        require_sandbox()
    except NoSandbox as error:
        tally.note = f"not tried: {error}"
        return tally
    with ThreadPoolExecutor(2) as pool:
        for code, result in zip(HOSTILE, pool.map(run_forgery, HOSTILE), strict=True):
            tally.count(not result.finished, f"{result.ending}: {code[-200:]!r}")
    tally.note = "tests and code in two sandboxes"
    return tally
