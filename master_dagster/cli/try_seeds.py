"""`try`: a few seeds through every scenario and the judge, before a run is paid for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from assets.dialogue_plans.planning import PlanError
from assets.dialogues.assets import GenerationConfig
from assets.dialogues.questions import Question
from assets.quality.preview import Preview, PreviewRun, plan_preview, read_seeds
from assets.seeds.embeddings import EmbeddingError
from assets.seeds.rows import SeedsError
from master_dagster.cli.chat import Row, ShownDialogue, print_chat
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.steps import StepFailed
from master_dagster.terminal import console, print_json
from resources.chat.budget import Budget
from resources.chat.calls import BudgetSpent, EndpointUnusable, Usage
from resources.chat.profile import Profile
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError, unknown_name
from resources.embedder import open_embedder
from resources.lake.tables import Lake
from resources.model_servers.embedded.weights import EmbeddedModelMissing
from resources.model_servers.lease import ModelServerError
from resources.scratch import scratch_folder

DIALOGUES = 5


def try_seeds(count: int | None, max_usd: float, scenario: str | None, as_json: bool) -> None:
    """Generate and judge some dialogues in a temporary lake, and print each as soon as it is judged.

    Args:
        count: how many; None: 5, or one for each scenario where there are more.
        max_usd: the most US dollars that they may cost, by the profile's prices.
        scenario: the only one to try; None tries all whose share is not 0.
        as_json: print JSON at the end, and no chats.

    Raises:
        ConfigurationError: a setting is wrong, or there is no such scenario.
        StepFailed: the seeds, the models or the budget do not suffice.
    """
    deployment = load_deployment()
    chosen = chosen_scenarios(deployment, scenario)
    count = count or max(DIALOGUES, len(chosen))
    shown: list[ShownDialogue] = []

    def show(dialogue: Row, scores: Row, questions: Sequence[Question]) -> None:
        shown.append(ShownDialogue(dialogue, scores, questions))
        if not as_json:
            print_chat(shown[-1], f"{len(shown)} of {len(preview.tasks)}")

    try:
        with scratch_folder("try") as folder, errors_explained(shown, count):
            lake = Lake.at(str(folder), deployment.settings.s3)
            preview = choose_dialogues(deployment, lake, chosen, count, quiet=as_json)
            budget = Budget(deployment.settings.budget_tokens, max_usd)
            service = ChatService(deployment.profile, lake.store, budget)
            rules, regenerations = deployment.quality_rules, GenerationConfig().regenerations
            run = PreviewRun(service, deployment.scenarios, deployment.prompts, rules, regenerations)
            unpriced = unpriced_models(deployment.profile, run.roles(preview.tasks))
            if unpriced and not as_json:
                warn_of_prices(unpriced)
            with waiting(f"Generating dialogues: {len(preview.tasks)} …", quiet=as_json):
                usage = run_async(run.run(preview.tasks, folder.name, show))
    except KeyboardInterrupt:
        console.print("Stopped. Nothing of a try is kept.", style="yellow")
        raise typer.Exit(130) from None
    if as_json:
        print_json(result_json(shown, preview, usage, unpriced))
    else:
        show_result(shown, usage)


def chosen_scenarios(deployment: Deployment, scenario: str | None) -> list[str]:
    """The names of the scenarios to try.

    Raises:
        ConfigurationError: there is no such scenario.
    """
    if scenario is None:
        shares = deployment.plan_rules.scenario_shares(deployment.scenarios)
        return [name for name, share in shares.items() if share]
    if scenario not in deployment.scenarios:
        raise ConfigurationError(f"--scenario {scenario}: {unknown_name('scenario', scenario, deployment.scenarios)}")
    return [scenario]


def choose_dialogues(deployment: Deployment, lake: Lake, chosen: Sequence[str], count: int, *, quiet: bool) -> Preview:
    """Read some seeds into the temporary lake and choose the dialogues; print the scenarios that are left out."""
    paired = any(deployment.scenarios[name].needs_partner for name in chosen)
    embedder = open_embedder(deployment.profile) if paired else None
    names = deployment.seeds.source_names[:count]
    with waiting(f"Reading the first rows of {', '.join(names)} …", quiet=quiet):
        sources = read_seeds(lake, deployment.seeds, embedder, count)
        preview = plan_preview(lake, sources, deployment.scenarios, chosen, deployment.plan_rules, count)
    for name, why in preview.left_out.items():
        if not quiet:
            line = f"Not tried: {deployment.scenarios.title(name)}: {why}."
            console.print(line, style="yellow", markup=False, soft_wrap=True)
    return preview


@contextmanager
def waiting(line: str, *, quiet: bool) -> Iterator[None]:
    """Say what is in progress: a spinner on a terminal, elsewhere a line."""
    if quiet:
        yield
    elif console.is_terminal:
        with console.status(line):
            yield
    else:
        console.print(line, markup=False, soft_wrap=True)
        yield


@contextmanager
def errors_explained(shown: Sequence[ShownDialogue], count: int) -> Iterator[None]:
    """Turn the errors of stages and models into `StepFailed`."""
    try:
        yield
    except BudgetSpent as error:
        reason = str(error).partition(";")[0]
        raise StepFailed(f"{reason} after {len(shown)} of {count} dialogues; raise --max-usd") from error
    except (
        SeedsError,
        EmbeddingError,
        PlanError,
        EndpointUnusable,
        EmbeddedModelMissing,
        ModelServerError,
    ) as error:
        raise StepFailed(str(error)) from error


def show_result(shown: Sequence[ShownDialogue], usage: Usage) -> None:
    """Print how many dialogues were accepted, what they cost, and the next command."""
    accepted = sum(bool(one.scores and one.scores["accepted"]) for one in shown)
    tokens = usage.prompt_tokens + usage.completion_tokens
    cost = f"${usage.cost:,.4f}" if usage.cost else "$0.00"
    console.print(f"{accepted} of {len(shown)} accepted; {tokens:,} tokens, {cost}. Nothing was written to the lake.")
    console.print("Next: master-dagster run")


def warn_of_prices(unpriced: Sequence[str]) -> None:
    """Say that some models have no price, before they are called."""
    line = f"The profile has no price for {', '.join(unpriced)}: their calls count as $0, also for --max-usd."
    console.print(line, style="yellow", markup=False, soft_wrap=True)


def unpriced_models(profile: Profile, roles: Sequence[str]) -> list[str]:
    """The models of these roles, other than those that run on this machine, for which the profile has no price."""
    models = [profile.roles[role] for role in roles]
    remote = {model.model for model in models if profile.endpoints[model.endpoint].kind == "openai"}
    return sorted(remote - set(profile.prices))


def result_json(
    shown: Sequence[ShownDialogue], preview: Preview, usage: Usage, unpriced: Sequence[str]
) -> dict[str, Any]:
    """Everything that was made, for a program to read."""
    return {
        "dialogues": [one.as_json() for one in shown],
        "left_out": preview.left_out,
        "tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": usage.cost,
        "models_without_price": list(unpriced),
    }
