"""Skips the tests of sandboxes where none works."""

import pytest

from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import require_sandbox


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips the test where no sandbox works."""
    try:
        require_sandbox()
    except NoSandbox as error:
        pytest.skip(f"no sandbox works here: {error}")
