"""Dagster's UI with the daemon and the code location, as `dg dev` runs them, behind `RequestCheck`."""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml

from master_dagster.settings_folder import PROJECT, load_dot_env, settings_folder
from master_dagster.ui.request_check import HOSTS_VARIABLE
from resources.configuration import ConfigurationError

WEBSERVER, CHECKED_WEBSERVER = "dagster_webserver", "master_dagster.ui.webserver"
LOCATION = "master_dagster"


class CannotServe(ConfigurationError):
    """The UI cannot be started. The message says why and what to do."""


def serve(host: str, port: int) -> None:
    """Run the UI, the daemon and the code location until Ctrl-C or SIGTERM, which end all of them.

    Args:
        host: the address to listen on. The UI has no log-in: whoever reaches the address can launch runs.
        port: the port to listen on.

    Raises:
        CannotServe: the port is in use, or the address is not of this machine. Nothing is started.
        ConfigurationError: MASTER_PROJECT names no folder.
    """
    check_port(host, port)
    from dagster_dg_cli.cli.dev import dev_command  # takes a second

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts with & ignore SIGINT
    folder = settings_folder()
    load_dot_env(folder)
    names = [os.environ.get(HOSTS_VARIABLE, ""), f"[{host}]" if ":" in host else host]
    os.environ[HOSTS_VARIABLE] = ",".join(names)
    # A project that `init` made has definitions of its own, to which its owner may add assets.
    module = "definitions" if folder != PROJECT and (folder / "definitions.py").is_file() else f"{LOCATION}.definitions"
    location = {"module_name": module, "location_name": LOCATION, "working_directory": str(folder)}
    with tempfile.TemporaryDirectory() as temporary, _checked_webserver():
        workspace = Path(temporary) / "workspace.yaml"
        workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": location}]}))
        options = ["--workspace", str(workspace), "--host", host, "--port", str(port)]
        dev_command.main(options, prog_name="dg dev", standalone_mode=False)


def check_port(host: str, port: int) -> None:
    """Find out whether the UI can listen there.

    Raises:
        CannotServe: the port is in use, or the address is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the webserver does
            probe.bind(address)
    except OSError as error:
        raise CannotServe(
            f"The UI cannot listen on {host}:{port}: {error.strerror}. Choose another port: "
            f"master-dagster ui --port {port + 100}, or make ui PORT={port + 100}"
        ) from None


@contextmanager
def _checked_webserver() -> Iterator[None]:
    """Let `dg dev`, which has no option for that, start the checked webserver in the place of Dagster's."""
    import dagster._cli.dev

    module: Any = dagster._cli.dev
    open_subprocess = module.open_ipc_subprocess

    def open_checked(parts: Sequence[str], **options: Any) -> Any:
        return open_subprocess([CHECKED_WEBSERVER if part == WEBSERVER else part for part in parts], **options)

    module.open_ipc_subprocess = open_checked
    try:
        yield
    finally:
        module.open_ipc_subprocess = open_subprocess
