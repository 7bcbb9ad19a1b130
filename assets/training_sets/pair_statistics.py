"""By what else than its content the right answer of a pair can be known: by its length, or by who gave it.

A model that is tuned on pairs learns what sets chosen apart from rejected, whatever that is.
"""

from pathlib import Path
from typing import Any

import duckdb

from assets.framework.check_files import query_rows

QUERY = Path(__file__).parent / "queries" / "pair_statistics.sql"
FEWEST_PAIRS = 20  # fewer show nothing
MUCH_LONGER = 10  # times as many characters


def pair_statistics(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What is known of the pairs of the view `released`, rows of `PREFERENCE_ROW`.

    Returns:
        `pairs`: how many; `chosen_longer`: share of pairs whose chosen answer is the longer one; `length_auc`: the
        probability that a chosen answer is longer than any rejected one (0.5: length shows nothing); `role_accuracy`:
        the share of answers of which the role alone shows whether they are chosen (0.5: it shows nothing);
        `much_longer`: pairs whose chosen answer is as long as `MUCH_LONGER` rejected ones. Shares of no pairs are None.
    """
    (row,) = query_rows(connection, QUERY.read_text(encoding="utf-8"), {"times": MUCH_LONGER})
    return row
