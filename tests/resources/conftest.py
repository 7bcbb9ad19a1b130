from pathlib import Path

import pytest

from resources.lake.opening import open_store
from resources.lake.store import Store


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store in turn."""
    return open_store(request.getfixturevalue("s3_root") if request.param == "s3" else str(tmp_path / "lake"))
