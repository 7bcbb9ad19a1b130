"""`night`: what the next night would do."""

from rich.table import Table as RichTable
from rich.text import Text

from master_dagster.automation.tonight import Tonight, shown_rows, tonight_now
from master_dagster.deployment import load_deployment
from master_dagster.steps import open_instance
from master_dagster.terminal import console, print_json

NUMBERS = ("dialogues", "calls", "$ live", "$ in batches", "minutes")


def print_night(as_json: bool) -> None:
    """Print what the schedules and sensors would launch tonight. Launches and writes nothing.

    Raises:
        ConfigurationError: a setting is wrong, or DAGSTER_HOME names no folder.
    """
    deployment = load_deployment()
    with open_instance() as instance:
        night = tonight_now(deployment, deployment.lake(), instance)
    if as_json:
        print_json(night.as_json())
    else:
        show_night(night)


def show_night(night: Tonight) -> None:
    """Print the table, without its empty columns, and its sums."""
    rows = shown_rows(night)
    if not rows:
        console.print("Nothing is due.")
        return
    table = RichTable()
    filled = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in filled:
        table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[name]) for name in filled))  # a name such as [a-z].jsonl is no markup
    console.print(table)
    totals = night.totals
    console.print(
        f"Together: {totals['dialogues']:,} dialogues, {totals['calls']:,} calls, ${totals['live_cost']:,.2f} live or "
        f"${totals['batch_cost']:,.2f} in batches. What is (off) is not launched until you switch it on under "
        "Automation in the UI.",
        markup=False,
        soft_wrap=True,
    )
