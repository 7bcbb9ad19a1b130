from datetime import UTC, datetime, timedelta

import pytest

from assets.boost_qa.release import NoRelease
from master_dagster.maintenance import sweep_released
from resources.chat.profile import load_profile
from resources.lake import Lake
from tests.school import School

LATER = timedelta(hours=1)


def sweep(school: School, before: datetime) -> int:
    here = school.deployment
    return sweep_released(here.lake(), here.profile, here.prompts, here.quality_rules, before)


def journals(lake: Lake) -> list[str]:
    return [file.path for file in lake.store.list("_journal")]


def test_journals_of_released_lessons_are_let_go(taught_school: School) -> None:
    lake = taught_school.deployment.lake()
    assert journals(lake)
    assert sweep(taught_school, datetime.now(UTC) + LATER) > 0
    assert journals(lake) == []


def test_young_lessons_keep_their_journals(taught_school: School) -> None:
    assert sweep(taught_school, datetime.now(UTC) - LATER) == 0


def test_a_stale_lesson_keeps_its_journal(taught_school: School) -> None:
    here = taught_school.deployment
    other = load_profile("laptop")
    assert sweep_released(here.lake(), other, here.prompts, here.quality_rules, datetime.now(UTC) + LATER) == 0


def test_before_the_first_release_nothing_is_swept(school: School) -> None:
    with pytest.raises(NoRelease):
        sweep(school, datetime.now(UTC))
