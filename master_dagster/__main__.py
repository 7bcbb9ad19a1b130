"""`python -m master_dagster`, the same as the command `master-dagster`."""

from master_dagster.cli.app import app

if __name__ == "__main__":
    app(prog_name="master-dagster")
