"""`python -m master_dagster.ui`, which `make ui` runs."""

from typing import Annotated

import typer

from master_dagster.terminal import console
from master_dagster.ui.serve import DEFAULT_PORT, CannotServe, serve
from resources.configuration import ConfigurationError


def main(
    port: Annotated[int, typer.Option(min=1, max=65535)] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="The address to listen on. The UI has no log-in.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI, with the daemon for schedules, until Ctrl-C."""
    try:
        serve(host, port)
    except (CannotServe, ConfigurationError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
