"""Damaged and hostile answers of a server: each fails its own call or is read, and what is read can be written."""

from benchmarks.attacks.tally import Tally
from resources.chat.calls import Completion
from tests.attacks.bodies import hostile_answers, is_sound, outcome_of
from tests.fake_endpoint import FakeEndpoint

NUMBER = 500


def run() -> Tally:
    """One call for each answer, which the server gives to all attempts of that call."""
    tally, endpoint = Tally("bodies"), FakeEndpoint()
    endpoint.start()
    read = 0
    try:
        for number, answer in enumerate(hostile_answers(NUMBER)):
            found = outcome_of(endpoint, answer)
            read += isinstance(found, Completion)
            tally.count(is_sound(found), f"answer {number}: {found!r:.200}")
    finally:
        endpoint.stop()
    tally.note = f"{read} were read as answers, the others failed their own call"
    return tally
