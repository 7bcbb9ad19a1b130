"""Plug-ins: installed distributions as small as they can be, and groups with plug-ins that are not installed."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from resources.plugins import Plugin, PluginGroup


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry_points: Mapping[str, str],
    source: str = "",
    *,
    group: str,
    name: str = "acme-plugins",
    version: str = "1.0",
) -> None:
    """Write the distribution into a folder of its own, with one module of its name, and put it on the path."""
    site, module = folder / name, name.replace("-", "_")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {module}:{attribute}" for point, attribute in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    (site / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, module, raising=False)


def use(monkeypatch: pytest.MonkeyPatch, group: PluginGroup[Any], version: str = "1.0", **values: Any) -> None:
    """Let the group have these plug-ins, by name."""
    plugins = {name: Plugin(name, "acme", version, value) for name, value in values.items()}
    monkeypatch.setitem(group.__dict__, "_loaded", (plugins, []))
