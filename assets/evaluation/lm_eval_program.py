"""lm-eval's command with one more model, `relay`, for tasks that compare log-probabilities. Run as a script.

lm-eval's own `local-completions` needs the tokenizer of the model under test, and a server with log-probabilities of
prompts. This model passes each context and continuation to the relay (`lm_eval_command`), which knows its server.
"""

import asyncio
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model


@register_model("relay")
class Relay(LM):  # type: ignore[misc]
    """Asks for log-probabilities of continuations. It generates nothing."""

    def __init__(self, base_url: str, num_concurrent: int, **_: Any) -> None:
        super().__init__()
        self._url = base_url
        self._at_once = int(num_concurrent)

    def loglikelihood(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        """See `LM.loglikelihood`."""
        return asyncio.run(self._ask([request.args for request in requests]))

    async def _ask(self, pairs: list[tuple[str, str]]) -> list[tuple[float, bool]]:
        connector, forever = TCPConnector(limit=self._at_once), ClientTimeout(total=None)
        async with ClientSession(connector=connector, timeout=forever, raise_for_status=True) as session:

            async def ask(context: str, continuation: str) -> tuple[float, bool]:
                async with session.post(self._url, json={"context": context, "continuation": continuation}) as reply:
                    score = await reply.json()
                    return score["total"], score["greedy"]

            return list(await asyncio.gather(*(ask(*pair) for pair in pairs)))

    def loglikelihood_rolling(self, requests: list[Any], **_: Any) -> list[float]:
        """Not offered."""
        raise NotImplementedError("Perplexity of whole texts (loglikelihood_rolling) is not offered")

    def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
        """Not offered."""
        raise NotImplementedError("The answers of this task are generated: leave out lm_eval.log_probabilities")


if __name__ == "__main__":
    cli_evaluate()
