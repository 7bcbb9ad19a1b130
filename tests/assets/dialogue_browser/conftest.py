"""Browsers of tiny releases as folders."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, for a browser to be written into."""
    made = tmp_path / "browser"
    made.mkdir()
    return made
