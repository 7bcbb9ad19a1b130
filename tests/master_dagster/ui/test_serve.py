"""The UI is started as a whole or not at all."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def test_a_busy_port_is_noticed_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "master_dagster", "ui", "--port", str(port)]
        environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    (line,) = ended.stdout.splitlines()
    assert line.startswith(f"The UI cannot listen on 127.0.0.1:{port}: ")
    assert line.endswith(f"make ui PORT={port + 100}")
    assert list(tmp_path.iterdir()) == []
