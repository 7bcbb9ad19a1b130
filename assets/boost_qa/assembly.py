"""Accepted dialogues as ShareGPT rows in a fixed order, a limited number in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from assets.boost_qa.configuration import Loss
from assets.boost_qa.decontamination import BenchmarkScreen
from assets.boost_qa.near_duplicates import DialogueQuestions, near_duplicates
from assets.boost_qa.schema import REMOVED
from assets.boost_qa.selection import query
from assets.dialogues.sharegpt import conversation
from assets.framework.partitions import Split
from resources.scratch import scratch_folder

BATCH_ROWS = 1000
SLICE_ROWS = 4_000  # sorted in memory at once, some 15 MB
MOST_SLICES = 250  # of a split; each is an open file
SPLITS = [split.value for split in Split]
Row = dict[str, Any]


class AssemblyError(ValueError):
    """A dialogue cannot be a row of the release. The message says which, what is wrong, and what to do."""


def remove_unfit(connection: duckdb.DuckDBPyConnection, similarity: float) -> None:
    """Fill the table `removed` (rows of `REMOVED`): rejected, set aside, retracted, near-duplicates across splits.

    Args:
        connection: from `open_partitions`.
        similarity: two questions that are at least this similar are near-duplicates.
    """
    connection.execute(query("left.sql"))
    dialogues = (
        DialogueQuestions(
            row["dialogue_id"], row["split"], tuple(filter(None, (row["question"], row["partner_question"])))
        )
        for row in stream(connection, query("questions.sql"))
    )
    pairs = [
        (pair.dialogue_id, f"of {pair.kept} in {pair.kept_split}, similarity {pair.similarity:.2f}")
        for pair in near_duplicates(dialogues, similarity)
    ]
    frame = pl.DataFrame(pairs, schema={"dialogue_id": pl.String, "detail": pl.String}, orient="row")
    connection.register("near_duplicates", frame.to_arrow())
    connection.execute(query("near_duplicates.sql"))


def release_rows(
    connection: duckdb.DuckDBPyConnection,
    screen: BenchmarkScreen,
    loss: Loss,
    left_out: list[Row],
    slice_rows: int = SLICE_ROWS,
) -> Iterator[Row]:
    """Every row of the release: train, validation, test, each by dialogue_id.

    Args:
        connection: after `remove_unfit`.
        screen: of the benchmarks. Question, reference answer and dialogue are screened, so that a set of the same
            seeds' original answers is screened too.
        loss: which turns carry loss.
        left_out: gets the rows that share text with a benchmark or have no turn that carries loss, as rows of
            `REMOVED`.
        slice_rows: how many rows are sorted in memory at once.

    Raises:
        AssemblyError: an accepted dialogue is not strictly alternating, has an empty turn, or lacks its seed.
    """
    taken = connection.execute("SELECT count(*) FROM taken_scores").fetchall()[0][0]
    for record in in_order(connection, query("rows.sql"), taken, slice_rows):
        row = sharegpt_row(record, loss)
        texts = [record[name] for name in ("question", "answer", "partner_question", "partner_answer")]
        found = screen.find([*filter(None, texts), *(turn["value"] for turn in row["conversations"])])
        if found:
            reason = f"{found.kind.replace('_', ' ')}: {found.words}"
            left_out.append(_removed(row, "contaminated", found.benchmark, reason))
        elif not any(row["trains"]):
            left_out.append(_removed(row, "untrained", f"loss_{loss}", "no turn carries loss"))
        else:
            yield row


def sharegpt_row(record: Mapping[str, Any], loss: Loss) -> Row:
    """A dialogue joined with its seed (see `queries/rows.sql`) as a row of `RELEASE_ROW`.

    Args:
        record: the dialogue with its seed.
        loss: which turns carry loss.

    Raises:
        AssemblyError: LLaMA-Factory would skip the row, or its dialogue or seed is missing.
    """
    where = f"dialogue {record['dialogue_id']} ({record['scenario']}, seed {record['seed_id']})"
    if record["status"] != "complete" or record["question"] is None:
        problem = "its seed is not in raw_seeds" if record["status"] == "complete" else "there is no complete dialogue"
        raise AssemblyError(f"{where} is accepted, but {problem}; materialise its scored_dialogues partition again")
    try:
        turns = conversation(record["turns"])
    except ValueError as error:
        raise AssemblyError(f"{where} cannot be exported: {error}; {_ADVICE}") from error
    row = {
        "id": record["dialogue_id"],
        "conversations": [{"from": turn["from"], "value": turn["value"]} for turn in turns],
        "system": record["system"] or "",
        "trains": trained_turns([turn["trains"] for turn in turns], record["turns"], loss),
        **{name: record[name] for name in ("scenario", "source", "domain", "split", "seed_id", "partner_seed_id")},
        "licence": record["licence"],
        "quality_score": record["quality_score"],
    }
    fault = conversation_fault(row["conversations"])
    if fault:
        raise AssemblyError(f"{where} cannot be exported: {fault}; {_ADVICE}")
    return row


def trained_turns(trains: Sequence[bool], turns: Sequence[Mapping[str, Any]], loss: Loss) -> list[bool]:
    """Which turns carry loss, by the release rules.

    Args:
        trains: which ones do by their scenario.
        turns: rows of the `turns` column, as many; `final_answer` is what was found of a student's answer.
        loss: see `ReleaseRules`.
    """
    match loss:
        case "all":
            return list(trains)
        case "final":
            last = max((place for place, flag in enumerate(trains) if flag), default=-1)
            return [place == last for place in range(len(trains))]
        case "unless_wrong":
            return [flag and turn["final_answer"] != "wrong" for flag, turn in zip(trains, turns, strict=True)]


_ADVICE = "reject it in the manual decisions of the quality rules, or have it generated again"


def conversation_fault(messages: Sequence[Mapping[str, str]]) -> str | None:
    """Why LLaMA-Factory would skip a conversation, or train on nothing; None if it would use it.

    Its ShareGPT form: human first, strictly alternating, an even number of messages.
    """
    if not messages:
        return "it has no turns"
    for number, message in enumerate(messages, start=1):
        wanted = "human" if number % 2 else "gpt"
        if message["from"] != wanted:
            return f"turn {number} is from {message['from']!r} where {wanted!r} must speak"
        if not message["value"].strip():
            return f"turn {number} is empty"
    if len(messages) % 2:
        return "its last turn is not from 'gpt'"
    return None


def stream(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[Row]:
    """The rows of a query, fetched in batches. Do not use the connection for anything else meanwhile."""
    for batch in connection.sql(sql).to_arrow_reader(BATCH_ROWS):
        yield from batch.to_pylist()


def in_order(connection: duckdb.DuckDBPyConnection, sql: str, rows: int, slice_rows: int = SLICE_ROWS) -> Iterator[Row]:
    """The rows of a query in the release's canonical order: split, then dialogue_id.

    Sorted in slices on disk, `slice_rows` in memory at a time: DuckDB's own sort keeps all texts in memory.

    Args:
        connection: not to be used for anything else until the first row is there.
        sql: a query with the columns `split` and `dialogue_id`.
        rows: about how many it returns.
        slice_rows: how many rows are sorted in memory at once.
    """
    slices = min(MOST_SLICES, 1 + rows // slice_rows)
    with scratch_folder("boost_qa-slices") as folder, ExitStack() as files:
        written: dict[tuple[int, int], tuple[Path, pa.RecordBatchStreamWriter]] = {}
        for batch in connection.sql(sql).to_arrow_reader(max(1, slice_rows // 2)):
            indices: dict[tuple[int, int], list[int]] = {}
            sort_keys = zip(batch["split"].to_pylist(), batch["dialogue_id"].to_pylist(), strict=True)
            for index, (split, dialogue_id) in enumerate(sort_keys):
                # Ids are hashes, so equal ranges of them contain about equally many.
                key = (SPLITS.index(split), int(dialogue_id[:8], 16) * slices >> 32)
                indices.setdefault(key, []).append(index)
            for key, of_slice in indices.items():
                if key not in written:
                    path = Path(folder) / f"{key[0]}-{key[1]}"
                    written[key] = path, files.enter_context(pa.ipc.new_stream(path, batch.schema))
                written[key][1].write_batch(batch.take(of_slice))
        files.close()
        for _, (path, _) in sorted(written.items()):
            with pa.ipc.open_stream(path) as reader:
                ordered = reader.read_all().sort_by("dialogue_id")
            path.unlink()
            for batch in ordered.to_batches(BATCH_ROWS):
                yield from batch.to_pylist()


def _removed(row: Row, decision: str, reason: str, detail: str) -> Row:
    return {
        "dialogue_id": row["id"],
        **{name: row[name] for name in ("seed_id", "partner_seed_id", "scenario", "source", "split")},
        "decision": decision,
        "reason": reason,
        "detail": detail,
        "accepted": True,
    }


def removed_frame(connection: duckdb.DuckDBPyConnection, left_out: Sequence[Row]) -> pl.DataFrame:
    """Everything that was removed, by dialogue_id; rows of `REMOVED`."""
    columns = {name: column.dtype.type for name, column in REMOVED.columns.items()}
    frame = pl.DataFrame(pl.from_arrow(connection.sql("FROM removed").to_arrow_table())).cast(columns)
    return pl.concat([frame, pl.DataFrame(list(left_out), schema=columns)]).sort("dialogue_id")
