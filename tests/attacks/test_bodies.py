"""A damaged or hostile answer of a server fails its own call or is read, and what is read can be written."""

from resources.chat.calls import Completion
from tests.attacks.bodies import hostile_answers, is_sound, outcome_of
from tests.fake_endpoint import FakeEndpoint


def test_every_answer_is_read_or_fails_its_own_call(fake_endpoint: FakeEndpoint) -> None:
    found = [outcome_of(fake_endpoint, answer) for answer in hostile_answers(80)]
    assert [one for one in found if not is_sound(one)] == []
    assert 0 < sum(isinstance(one, Completion) for one in found) < len(found)
