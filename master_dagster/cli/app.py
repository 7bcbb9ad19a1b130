"""The command line `master-dagster`: every command with its arguments.

What a command does is in the module of its name, which is imported when the command runs, so that help comes at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from master_dagster.terminal import error_console
from resources.configuration import ConfigurationError

EXIT_CODES = "Exit codes: 0 success; 1 a wrong setting or a failed run; 2 a wrong command line; 130 stopped by Ctrl-C."


class Commands(TyperGroup):
    """Commands whose errors are one message."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name. An error with a message of ours ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):  # Abort: Ctrl-C at a question
            error_console.print("Stopped. The same command continues.", style="yellow")
            raise typer.Exit(130) from None
        except typer.Exit:  # of --help too, which is to import no Dagster
            raise
        except Exception as error:
            from master_dagster.steps import StepFailed  # not before: the help of a command imports no Dagster
            from resources.lake.store import StoreError

            if not isinstance(error, (ConfigurationError, StoreError, StepFailed)):
                raise
            error_console.print(str(error), style="red", markup=False, soft_wrap=True)
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
SOURCES: Any = {"rich_help_panel": "Questions and answers (what is not given is found out)", "show_default": False}
MODELS: Any = {"rich_help_panel": "Models (by default the embedded one: no key, no GPU)", "show_default": False}
Partitions = Annotated[
    list[str] | None,
    typer.Argument(help="Partition keys or shell patterns, such as 'debate|*'; all by default.", show_default=False),
]
Bases = Annotated[
    list[str] | None, typer.Option(help="A base model; repeat for several; all by default.", show_default=False)
]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        help="A training set; repeat for several; by default boost_qa, ori and, where possible, the others that "
        "MASTER_TRAINING names.",
        show_default=False,
    ),
]


@app.command(
    epilog="Examples: master-dagster init my-project --from questions.jsonl;  "
    "master-dagster init my-project --from data.csv --endpoint https://api.openai.com/v1 --model gpt-4.1-mini "
    "--key-variable OPENAI_API_KEY --yes"
)
def init(
    given: Annotated[
        list[str],
        typer.Option(
            "--from",
            metavar="FILE",
            help="A file of questions and answers (JSONL, JSON, CSV, Parquet; a glob; s3://), or a dataset's id on the "
            "Hugging Face hub. Repeat it for several sources.",
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="The project's folder.", show_default="this folder")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is found; do not ask.")] = False,
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="The field of the question; several are joined.", **SOURCES),
    ] = None,
    answer: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="The field of the answer; several are joined.", **SOURCES)
    ] = None,
    conversations: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The field with a list of messages.", **SOURCES)
    ] = None,
    domain: Annotated[str | None, typer.Option(metavar="DOMAIN", help="math, code or general.", **SOURCES)] = None,
    language: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="Of the questions: a name or a code.", **SOURCES)
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="LICENCE", help="Of the data, for the card of releases.", **SOURCES)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="ROWS", help="How many rows of each source to use.", **SOURCES)
    ] = None,
    rows_in: Annotated[
        str | None, typer.Option(metavar="MEMBER", help="The member of a JSON file that has the rows.", **SOURCES)
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="ENCODING", help="Of files that are not UTF-8.", **SOURCES)
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="NAME", help="The configuration of a hub dataset.", **SOURCES)
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="The split of a hub dataset, by default train.", **SOURCES)
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, with /v1.", **MODELS)
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model's name at the endpoint.", **MODELS)
    ] = None,
    key_variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment variable that holds the endpoint's key.", **MODELS),
    ] = None,
    weak_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="For students that should make mistakes.", **MODELS)
    ] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="For the judge.", **MODELS)] = None,
    embedding_model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For finding similar questions; by default the embedded one.", **MODELS),
    ] = None,
) -> None:
    """Make a project of your own from a file of questions and answers. Overwrites nothing and calls no model."""
    from master_dagster.cli.init import SourceChoice, init
    from master_dagster.new_project import ModelChoice

    texts = SourceChoice(
        question or [], answer or [], conversations, domain, language, licence, sample, rows_in, encoding, config, split
    )
    models = ModelChoice(endpoint, model, key_variable, weak_model, judge_model, embedding_model)
    init(folder, given, texts, models, yes)


@app.command(epilog="Example: master-dagster doctor")
def doctor(
    as_json: AsJson = False,
    no_calls: Annotated[bool, typer.Option("--no-calls", help="Call no model and read no hub dataset.")] = False,
) -> None:
    """Check settings, files, seeds, keys, models, lake, Dagster's instance, disk and extras, with a remedy for each.

    Each model is asked one question of a few tokens. Exit code 1 means that a run would fail.
    """
    from master_dagster.cli.doctor import doctor

    doctor(as_json, not no_calls)


@app.command(epilog="Example: master-dagster run --yes")
def run(yes: Yes = False) -> None:
    """Read the seeds, plan, show the estimate, generate, judge, and make a release.

    What exists already is not made again, and saved answers are not paid for again.
    """
    from master_dagster.cli.run import run

    run(yes)


@app.command(epilog="Example: master-dagster ui --port 3100")
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="The address to listen on. The UI has no log-in.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI, with the daemon for schedules, until Ctrl-C."""
    from master_dagster.ui.serve import serve

    serve(host, port)


@app.command(epilog="Examples: master-dagster publish;  master-dagster publish --hub")
def publish(
    hub: Annotated[
        bool, typer.Option("--hub", help="Push the release to the Hugging Face hub too, to MASTER_HUB_REPOSITORY.")
    ] = False,
) -> None:
    """Make a release of the accepted dialogues that exist."""
    from master_dagster.cli.run import publish

    publish(hub)


@app.command(epilog="Example: master-dagster train --base smollm2-135m --variant boost_qa --variant ori")
def train(base: Bases = None, variant: Variants = None, yes: Yes = False) -> None:
    """Fine-tune base models on the latest release and on what it is compared with."""
    from master_dagster.cli.checkpoints import train

    train(base or [], variant or [], yes)


@app.command(epilog="Example: master-dagster evaluate --variant boost_qa")
def evaluate(base: Bases = None, variant: Variants = None, yes: Yes = False) -> None:
    """Score the base models and their checkpoints with the configured benchmarks."""
    from master_dagster.cli.checkpoints import evaluate

    evaluate(base or [], variant or [], yes)


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


@app.command(epilog="Example: master-dagster status --json")
def status(as_json: AsJson = False) -> None:
    """Show what is done, due, failed and spent: seeds, partitions, dialogues, release, checkpoints, runs."""
    from master_dagster.cli.status import print_status

    print_status(as_json)


@app.command(epilog="Example: master-dagster night --json")
def night(as_json: AsJson = False) -> None:
    """Show what the next night would do from the sources to the scores, why, and what it costs live and in batches.

    Launches and writes nothing, and calls no model.
    """
    from master_dagster.cli.night import print_night

    print_night(as_json)


@app.command("open", epilog="Example: master-dagster open")
def open_browser(
    print_only: Annotated[bool, typer.Option("--print", help="Print the page's path and open nothing.")] = False,
) -> None:
    """Open the page with every dialogue of the latest release; make it first where it is missing or old."""
    from master_dagster.cli.open_browser import open_browser

    open_browser(print_only)


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
