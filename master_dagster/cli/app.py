"""The command line `master-dagster`: every command with its arguments.

What a command does is in the module of its name, which is imported when the command runs, so that help comes at once.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from master_dagster.terminal import console
from resources.configuration import ConfigurationError

EXIT_CODES = "Exit codes: 0 success; 1 a wrong setting or a failed run; 2 a wrong command line; 130 stopped by Ctrl-C."


class Commands(TyperGroup):
    """Commands whose errors are one message."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name. An error with a message of ours ends it with exit code 1."""
        from master_dagster.steps import StepFailed
        from resources.lake.store import StoreError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.print("Stopped. The same command continues.", style="yellow")
            raise typer.Exit(130) from None
        except (ConfigurationError, StoreError, StepFailed) as error:
            console.print(f"failed: {error}", style="red", markup=False, soft_wrap=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="master-dagster",
    cls=Commands,
    help="Turn question-answer data into BOOST-QA, an instruction-tuning dataset, by simulated teaching.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before models are called or trained.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]
Partitions = Annotated[
    list[str] | None,
    typer.Argument(help="Partition keys or shell patterns, such as 'debate|*'; all by default.", show_default=False),
]
Bases = Annotated[
    list[str] | None, typer.Option(help="A base model; repeat for several; all by default.", show_default=False)
]
Variants = Annotated[
    list[str] | None,
    typer.Option(help="A training set; repeat for several; boost_qa and ori by default.", show_default=False),
]


@app.command(epilog="Example: master-dagster run --yes")
def run(yes: Yes = False) -> None:
    """Read the seeds, plan, show the estimate, generate, judge, and make a release.

    What exists already is not made again, and saved answers are not paid for again.
    """
    from master_dagster.cli.run import run

    run(yes)


@app.command(epilog="Example: master-dagster publish")
def publish() -> None:
    """Make a release of the accepted dialogues that exist."""
    from master_dagster.cli.run import publish

    publish()


@app.command(epilog="Example: master-dagster train --base smollm2-135m --variant boost_qa --variant ori")
def train(base: Bases = None, variant: Variants = None, yes: Yes = False) -> None:
    """Fine-tune base models on the latest release and on what it is compared with."""
    from assets.framework.partitions import FREE_VARIANTS
    from master_dagster.cli.checkpoints import train

    train(base or [], variant or FREE_VARIANTS, yes)


@app.command(epilog="Example: master-dagster evaluate --variant boost_qa")
def evaluate(base: Bases = None, variant: Variants = None, yes: Yes = False) -> None:
    """Score the base models and their checkpoints with the configured benchmarks."""
    from assets.framework.partitions import FREE_VARIANTS
    from master_dagster.cli.checkpoints import evaluate

    evaluate(base or [], variant or FREE_VARIANTS, yes)


@app.command(epilog="Example: master-dagster report")
def report() -> None:
    """Make the report: whether training on BOOST-QA helped, as tables and a page."""
    from master_dagster.cli.report import report

    report()


@app.command(epilog="Example: master-dagster estimate 'debate|*'")
def estimate(partitions: Partitions = None, as_json: AsJson = False) -> None:
    """Estimate calls, tokens, US dollars and hours of the planned dialogues that are not current. Calls no model."""
    from master_dagster.cli.estimate import print_estimate

    print_estimate(partitions or [], as_json)


@app.command("try", epilog="Example: master-dagster try -n 5 --max-usd 0.05")
def try_seeds(
    count: Annotated[
        int | None,
        typer.Option("-n", min=1, help="How many dialogues: 5, or one for each scenario.", show_default=False),
    ] = None,
    max_usd: Annotated[
        float, typer.Option("--max-usd", min=0, help="The most US dollars to spend, by the profile's prices.")
    ] = 0.05,
    scenario: Annotated[str | None, typer.Option("--scenario", help="Try this scenario only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Generate and judge a few dialogues, and print them as chats. Nothing reaches the lake.

    The seeds are the same each time: of the first rows of each source, for every scenario in turn.
    """
    from master_dagster.cli.try_seeds import try_seeds

    try_seeds(count, max_usd, scenario, as_json)


@app.command(epilog="Example: master-dagster show 3f9a1c")
def show(
    dialogue_id: Annotated[
        str | None,
        typer.Argument(help="The beginning of its id; without it, the best accepted dialogue.", show_default=False),
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Without an id: the worst rejected dialogue.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a dialogue as a chat: questions, turns, verdict with reasons, and whether the latest release has it."""
    from master_dagster.cli.show import show

    show(dialogue_id, rejected, as_json)


@app.command(epilog="Example: master-dagster show-prompts 30")
def show_prompts(dialogues: Annotated[int, typer.Argument(min=1, help="How many dialogues.")] = 9) -> None:
    """Print every prompt of some planned dialogues, with stand-ins for what speakers say. Calls no model."""
    from master_dagster.cli.show_prompts import print_prompts

    print_prompts(dialogues)


@app.command(epilog="Example: master-dagster plugins")
def plugins() -> None:
    """List the installed plug-ins."""
    from master_dagster.cli.plugins import print_plugins

    print_plugins()


@app.command(epilog="Example: master-dagster migrate-lake")
def migrate_lake() -> None:
    """Bring the lake of an earlier version to the present format. Stop all runs first; safe to repeat."""
    from master_dagster.cli.migrate_lake import migrate

    migrate()
