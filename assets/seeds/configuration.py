"""The seeds configuration: the sources of question-answer data, and how they are read."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from assets.framework.languages import ENGLISH, language_name
from resources.configuration import Configuration, RelativePath, load_configuration, shipped_or_path
from resources.plugins import ConfigurationGroup

CONFIGURATIONS = Path(__file__).parent / "configurations"
CONVERSATIONS = "conversations"

Domain = Literal["math", "code", "general"]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


FieldName = Annotated[str, Field(min_length=1)]
FieldNames = Annotated[list[FieldName], Field(min_length=1), BeforeValidator(_as_list)]


class HubDataset(Configuration):
    """A dataset on the Hugging Face hub, or a local dataset folder that `datasets.load_dataset` reads."""

    id: str = Field(min_length=1, description="`owner/name`, or a folder that starts with `.` or `/`.")
    config: str | None = Field(default=None, description="Configuration name, where the dataset has several.")
    split: str = Field(default="train", min_length=1, description="Which split to read.")
    revision: str | None = Field(default=None, description="Branch, tag or commit; pin a commit to read the same data.")


class SeedSource(Configuration, ABC):
    """A plug-in that reads seeds from elsewhere, such as a database; its own keys are beside `kind`."""

    kind: str = Field(description="The plug-in's name.")

    @abstractmethod
    def read_rows(self) -> Iterable[Mapping[str, Any]]:
        """The rows, each from field to value, always in the same order. An exception fails the reading."""


SEED_SOURCES = ConfigurationGroup[SeedSource](
    name="master_dagster.seed_sources",
    summary="A source of seeds beside files and the hub, under `plugin` of a source in the seeds configuration.",
    contract=SeedSource,
)


class Fields(Configuration):
    """The fields of a row. The fields of a list are joined with an empty line between them; empty ones are left out."""

    question: FieldNames = Field(
        description="One field or a list of them; `a.b` is the field `b` within `a`. From the second on each is headed "
        "by its name: `Input:`."
    )
    answer: FieldNames = Field(description="One field or a list of them; `a.b` is the field `b` within `a`.")
    system: FieldName | None = Field(default=None, description="The field of a system prompt, if rows have one.")
    tests: FieldNames | None = Field(
        default=None,
        description="Of code: the fields of Python tests that a right answer passes, such as `assert add(1, 2) == 3`, "
        "as text or a list of texts. The training set `rlvr` has them.",
    )
    list_answer: Literal["first", "joined"] | None = Field(
        default=None,
        description="Where an answer is a list of several texts: take the first, or join them as lines. Without it, "
        "such a row is rejected.",
    )


class Roles(Configuration):
    """Names of speakers besides the usual ones (human, user, gpt, assistant, model, …); case makes no difference."""

    question: FieldNames = Field(description="Who asks.")
    answer: FieldNames = Field(description="Who answers.")


class SourceConfiguration(Configuration):
    """One source of seeds."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60, description="Part of every shard's name; never change it."
    )
    hub: HubDataset | None = Field(default=None, description="Read from the hub. Give this, `files` or `plugin`.")
    files: list[FieldName] | None = Field(
        default=None,
        min_length=1,
        description="Local paths, globs or s3:// addresses of JSONL, JSON, CSV or Parquet, plain or .gz or .zst.",
    )
    rows_in: FieldName | None = Field(
        default=None, description="Of a JSON file with several lists: the member that has the rows."
    )
    encoding: str | None = Field(
        default=None, description="Of JSON and CSV files that are neither UTF-8 nor UTF-16, such as cp1252."
    )
    plugin: Annotated[SeedSource, SEED_SOURCES.validator] | None = Field(
        default=None, description="Read by a plug-in: `kind` names it, and the other keys are its own."
    )
    fields: Fields | None = Field(default=None, description="Which fields hold question and answer.")
    conversations: bool | FieldName | None = Field(
        default=None,
        description="Instead of `fields`: rows hold ShareGPT (from, value) or chat (role, content) messages in the "
        "field `conversations` (`true`) or in the one named here.",
    )
    roles: Roles | None = Field(default=None, description="Of conversations: further names of who asks and answers.")
    system: FieldName | None = Field(
        default=None,
        description="Of conversations: a field beside them with a system prompt, for those without a system message.",
    )
    domain: Domain = Field(description="What the questions are about; it decides how answers are compared.")
    language: Annotated[str, AfterValidator(language_name)] = Field(
        default=ENGLISH,
        description="The language of its questions, as a name or an ISO 639 code. Dialogues are in it. It holds for "
        "shards that are written from then on.",
    )
    max_other_language_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="A reading fails when more of the sample than this is in another language; 1 for a mixed source.",
    )
    licence: str = Field(min_length=1, description="Goes into every release's card.")
    sample: int | None = Field(
        default=None,
        ge=1,
        description="Size of the sample that each reading draws. The same rows give the same sample; seeds of new or "
        "changed rows are added to the known seeds. All rows, if not given.",
    )
    random_seed: int = Field(default=0, description="Another one draws another sample.")
    multi_turn: Literal["first", "all", "set_aside"] = Field(
        default="first",
        description="Of a longer conversation take the first question and answer, or every one, each below the "
        "conversation before it, or reject the row.",
    )
    keep_system: bool = Field(default=True, description="Keep a row's system prompt, where it has one.")

    @field_validator("files")
    @classmethod
    def _known_addresses(cls, files: list[str] | None) -> list[str] | None:
        for file in files or []:
            if "://" in file and not file.startswith("s3://"):
                raise ValueError(f"{file!r} is neither a local path nor an s3:// address; download it first")
        return files

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        try:
            "".encode(encoding or "utf-8")
        except LookupError:
            raise ValueError("there is no such encoding; examples: cp1252, latin-1, shift_jis, gb18030") from None
        return encoding

    @model_validator(mode="after")
    def _one_place_one_shape(self) -> Self:
        if sum(place is not None for place in (self.hub, self.files, self.plugin)) != 1:
            raise ValueError("give exactly one of `hub`, `files` and `plugin`")
        if (self.fields is None) == (self.conversations_field is None):
            raise ValueError("give exactly one of `fields` and `conversations`")
        if self.fields is not None and self.system is not None:
            raise ValueError("`system` is for conversations; write it under `fields`")
        if self.fields and self.fields.tests and self.domain != "code":
            raise ValueError(f"`fields.tests` are tests of code, and the domain is {self.domain}; write `domain: code`")
        return self

    @property
    def conversations_field(self) -> str | None:
        """The field that holds the messages; None where question and answer have fields of their own."""
        if isinstance(self.conversations, str):
            return self.conversations
        return CONVERSATIONS if self.conversations else None

    @property
    def system_field(self) -> str | None:
        """The field that holds a system prompt, if one is named."""
        return self.fields.system if self.fields else self.system

    @property
    def wanted_fields(self) -> tuple[str, ...]:
        """Every field of a row that is read."""
        if self.fields is None:
            names = [self.conversations_field or CONVERSATIONS]
        else:
            names = [*self.fields.question, *self.fields.answer, *(self.fields.tests or ())]
        return tuple(dict.fromkeys([*names, *([self.system_field] if self.system_field else [])]))


class Duplicates(Configuration):
    """When two questions of a source are near-duplicates (MinHash over runs of words)."""

    threshold: float = Field(default=0.8, gt=0, le=1, description="Estimated Jaccard similarity from which on.")
    num_perm: int = Field(default=120, ge=16, le=1024, description="Length of a signature; longer is more exact.")
    shingle: int = Field(default=3, ge=1, le=10, description="Words a run.")


class SeedsConfiguration(Configuration):
    """The sources of seeds and how they are read."""

    sources: list[SourceConfiguration] = Field(min_length=1)
    folder: RelativePath = Field(
        default=Path(),
        validate_default=True,
        description="Where relative paths start; itself relative to the configuration file, whose folder it is.",
    )
    shard_size: int = Field(default=250, ge=1, le=10_000, description="Most seeds of a new shard.")
    max_rejected_share: float = Field(
        default=0.05, ge=0, le=1, description="A reading fails when more of its rows than this cannot be used."
    )
    max_characters: int = Field(
        default=16_000,
        ge=1,
        description="Longest question, answer or system prompt that is taken. A question has the conversation before "
        "it, where `multi_turn` is `all`, and an answer is without reasoning.",
    )
    duplicates: Duplicates = Duplicates()
    retractions: str | None = Field(
        default=None, description="Text file with the ids of retracted seeds, one per line; `#` starts a comment."
    )

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: list[SourceConfiguration]) -> list[SourceConfiguration]:
        names = [source.name for source in sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two sources have the same name: {', '.join(repeated)}")
        return sources

    @property
    def source_names(self) -> list[str]:
        """The partitions of `raw_seeds`, in the order of the file."""
        return [source.name for source in self.sources]

    def source(self, name: str) -> SourceConfiguration:
        """The source of that name. Raises KeyError."""
        return {source.name: source for source in self.sources}[name]

    def address(self, given: str) -> str:
        """A path of the configuration as one that can be opened: s3:// addresses as they are, others absolute."""
        return given if "://" in given else str(self.folder / Path(given).expanduser())


def load_seeds_configuration(name_or_path: str = "demo") -> SeedsConfiguration:
    """The shipped configuration of that name, or the one in that file.

    Raises:
        ConfigurationError: there is none, it cannot be read, or it is not valid; the message names every error.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), SeedsConfiguration)
