"""What the UI shows of training sets and of what is paid for to make them."""

from collections.abc import Mapping
from typing import Any

from dagster import MarkdownMetadataValue, MetadataValue

from assets.boost_qa.assembly import stream
from assets.boost_qa.forms import CONVERSATION, FORMS, PREFERENCE
from assets.boost_qa.release import Release, create_view
from assets.boost_qa.summary import released_sample
from assets.framework.ui_metadata import ROW_COUNT, counted, counts_markdown, sample_markdown, stored_at, table_markdown
from assets.framework.usage_metadata import calls_metadata
from assets.training_sets.gradient_features import Features
from assets.training_sets.pair_statistics import MUCH_LONGER, pair_statistics
from assets.training_sets.pools import Pool
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS
from assets.training_sets.variants import TRAINING_SETS, TrainingSet, query
from resources.chat.calls import Usage
from resources.lake.tables import Lake

OTHER_FORMS = {
    "dpo": "preference pair",
    "kto": "labelled answer",
    "critique": "critique",
    "rlvr": "verifiable question",
}
"""What a row is of the sets that are not compared with the release row by row, by variant."""


def rows_of_other_forms(lake: Lake, release: Release) -> dict[str, int]:
    """Rows of a release's sets of `OTHER_FORMS`, by variant: 0 where there is nothing to make one of.

    Empty where the release's training sets were not made.
    """
    found = {variant: TRAINING_SETS.find_latest(lake, variant) for variant in ("boost_qa", *OTHER_FORMS)}
    made = {
        variant: sum(one.manifest["rows"].values())
        for variant, one in found.items()
        if one and one.manifest["release"] == release.id
    }
    return {variant: made.get(variant, 0) for variant in OTHER_FORMS} if made else {}


def other_forms_text(rows: Mapping[str, int]) -> str:
    """`12 preference pairs (dpo), 1 critique (critique)`, of `rows_of_other_forms`."""
    return ", ".join(f"{counted(number, OTHER_FORMS[variant])} ({variant})" for variant, number in rows.items())


def training_set_metadata(lake: Lake, made: TrainingSet) -> dict[str, Any]:
    """What the UI shows of a training set."""
    rows: dict[str, int] = made.manifest["rows"]
    return {
        "sample": _sample(lake, made),
        **_pair_metadata(lake, made),
        "rows by split": counts_markdown("split", "rows", rows),
        ROW_COUNT: sum(rows.values()),
        "rows by kind": counts_markdown("kind", "rows", made.manifest.get("counts", {})),
        "made with": MetadataValue.json(made.manifest.get("made_with", {})),
        "release": made.manifest["release"],
        "files": stored_at(lake.store, made.data_folder),
        "manifest": stored_at(lake.store, made.folder),
    }


def _pair_metadata(lake: Lake, made: TrainingSet) -> dict[str, float]:
    """By what else than its content a right answer can be known; nothing of sets that are no pairs."""
    if made.manifest.get("form") != PREFERENCE.name:
        return {}
    with lake.connect([]) as connection:
        create_view(connection, "released", PREFERENCE.schema, map(lake.store.uri, made.files("data/")))
        found = pair_statistics(connection)
    return {
        "AUC of length": round(found["length_auc"], 3),
        "accuracy of the role": round(found["role_accuracy"], 3),
        "share of pairs with a longer chosen answer": round(found["chosen_longer"], 3),
        f"pairs with a chosen answer as long as {MUCH_LONGER} rejected ones": found["much_longer"],
    }


def _sample(lake: Lake, made: TrainingSet) -> MarkdownMetadataValue:
    """A short row of a set, as its form has it."""
    form = FORMS[made.manifest.get("form", CONVERSATION.name)]
    with lake.connect([]) as connection:
        create_view(connection, "released", form.schema, map(lake.store.uri, made.files("data/")))
        if form == CONVERSATION:
            return released_sample(connection)
        row = next(stream(connection, query("short_row.sql")))
    shown = [(name, row[name]) for name in ("prompt", "chosen", "rejected", "completion", "label") if name in row]
    return sample_markdown(
        *((name, value[-1]["content"] if isinstance(value, list) else str(value)) for name, value in shown),
        *((("reference_final", row["reference_final"]),) if "reference_final" in row else ()),
    )


def answers_metadata(lake: Lake, keys: Mapping[str, str], usage: Usage | None) -> dict[str, Any]:
    """What the UI shows of chain-of-thought answers; see `calls_metadata` for `usage`."""
    answers = lake.read(CHAIN_OF_THOUGHT_ANSWERS, [keys])
    reasons = answers["reason"].fill_null("answered").value_counts(sort=True).rows()
    return {
        "sample": sample_markdown(("Answer", answers["answer"].drop_nulls()[0]), limit=1200),
        "seeds by outcome": counts_markdown("outcome", "seeds", reasons),
        "dagster/row_count": answers.height,
        **calls_metadata(lake, CHAIN_OF_THOUGHT_ANSWERS, keys, usage),
        "made with": MetadataValue.json(lake.facts(CHAIN_OF_THOUGHT_ANSWERS, keys)["made_with"]),
        "release": keys["release"],
        "path": stored_at(lake.store, lake.path(CHAIN_OF_THOUGHT_ANSWERS, keys)),
    }


def features_metadata(lake: Lake, features: Features, pool: Pool) -> dict[str, Any]:
    """What the UI shows of gradient features."""
    manifest = features.manifest
    losses = [
        {"epoch": epoch, "warm-up loss": loss} for epoch, loss in enumerate(manifest.get("warm_up_losses", []), start=1)
    ]
    return {
        "dagster/row_count": len(pool.rows),
        "warm-up": table_markdown(losses),
        "rows that train nothing": counts_markdown("reason", "rows", manifest.get("left_out", {})),
        "pool": stored_at(lake.store, pool.folder),
        "path": stored_at(lake.store, features.folder),
    }
