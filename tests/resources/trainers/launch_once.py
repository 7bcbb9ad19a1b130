"""One materialisation in a process of its own, to be ended from outside: `python -m … <JSON>`.

The JSON holds `root` (the lake), `place`, `patience` and `specification`. What ended it is printed.
"""

import json
import sys

from dagster import AssetExecutionContext, DagsterInstance, MaterializeResult, asset, materialize

from resources.store import open_store
from resources.trainers.configuration import TrainerConfiguration
from resources.trainers.trainer import open_trainer
from tests.resources.trainers.launching import work

given = json.loads(sys.argv[1])
configuration = TrainerConfiguration.model_validate({"place": given["place"], "patience": given["patience"]})


@asset
def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
    try:
        open_trainer(configuration, open_store(given["root"])).train(context, work(**given["specification"]))
    except BaseException as error:
        sys.__stdout__.write(f"ended by {type(error).__name__}\n")  # type: ignore[union-attr]
        raise
    return MaterializeResult()


if __name__ == "__main__":
    with DagsterInstance.ephemeral() as instance:
        materialize([checkpoint], instance=instance, raise_on_error=False)
