"""The UI is started as a whole or not at all."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.ui_process import served


def test_a_busy_port_is_noticed_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "master_dagster", "ui", "--port", str(port)]
        environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"The UI cannot listen on 127.0.0.1:{port}: ")
    assert line.endswith(f"make ui PORT={port + 100}")
    assert list(tmp_path.iterdir()) == []


def test_the_ui_shows_what_a_project_of_ones_own_adds(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MASTER_LAKE_ROOT=lake\n")
    (tmp_path / "definitions.py").write_text(
        "import dagster as dg\nfrom master_dagster.definitions import defs\n"
        "@dg.asset\ndef of_ones_own(): ...\ndefs = dg.Definitions.merge(defs, dg.Definitions(assets=[of_ones_own]))\n"
    )
    (tmp_path / "home").mkdir()
    query = {"query": "{assetNodes {assetKey {path}}}"}
    with served(
        "master_dagster", "ui", folder=tmp_path, environment={"DAGSTER_HOME": str(tmp_path / "home")}
    ) as address:
        request = urllib.request.Request(  # noqa: S310 - our own loopback server
            f"{address}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            assets = {node["assetKey"]["path"][0] for node in json.load(response)["data"]["assetNodes"]}
    assert {"of_ones_own", "boost_qa"} <= assets
