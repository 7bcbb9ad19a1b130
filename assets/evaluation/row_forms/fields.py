"""Form `fields`: what every kind of benchmark reads by the configuration's mapping."""

from assets.evaluation.benchmark_question import BenchmarkQuestion, Option
from assets.evaluation.configuration import Fields
from assets.evaluation.row_forms.values import RowValues, read_text


def read_common_fields(
    values: RowValues,
    fields: Fields,
    *,
    reference: str,
    options: tuple[Option, ...] = (),
    entry_point: str = "",
    solution: str = "",
) -> BenchmarkQuestion:
    """A question whose text, id and cluster are read by the mapping; the kind gives the rest. Raises NotAQuestion."""
    names = [fields.question] if isinstance(fields.question, str) else list(fields.question)
    return BenchmarkQuestion(
        "\n\n".join(read_text(values, name) for name in names),
        reference,
        read_text(values, fields.id) if fields.id else "",
        read_text(values, fields.cluster) if fields.cluster else "",
        options=options,
        entry_point=entry_point,
        solution=solution,
    )
