"""Making something alone on this machine: of several runs that want to, one does and the others wait."""

import asyncio
import logging

from resources.claims import PartitionClaim, claim_partition

LOOK_SECONDS = 1.0  # after which it is tried again whether the other run is done

logger = logging.getLogger(__name__)


async def claim_in_turn(what: str) -> PartitionClaim:
    """The right to make `what` (lake and partition), after the run of this machine that has it now.

    Who waited looks again whether it is made.
    """
    claimed = claim_partition(what)
    if claimed is None:
        logger.warning("%s is being made by another run; this one waits for it", what)
    while claimed is None:
        await asyncio.sleep(LOOK_SECONDS)
        claimed = claim_partition(what)
    return claimed
