"""What the calls of an engine took: sums by scope and in all."""

import random
from collections.abc import Mapping

from resources.chat.budget import Spending
from resources.chat.calls import Completion, Usage
from resources.chat.role_model import ModelPrice
from resources.chat.spending_log import SpendingLog

TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")


class UsageAccount:
    """Sums by scope and in all.

    Args:
        prices: by model.
        spending: what the run has paid for; several accounts of a run share one.
        log: where what is paid stays, whatever becomes of the answers.
        latency_sample: latencies kept per scope.
    """

    def __init__(
        self, prices: Mapping[str, ModelPrice], spending: Spending, log: SpendingLog, latency_sample: int
    ) -> None:
        self.total = Usage()
        self._log = log
        self._prices = prices
        self._spending = spending
        self._sample = latency_sample
        self._scopes: dict[str, Usage] = {}
        self._counted: dict[str, set[bytes]] = {}  # keys of the completions that a scope's sums include

    def take(self, scope: str) -> Usage:
        """The sums of a scope that is done; the account forgets them."""
        self._counted.pop(scope, None)
        return self._scopes.pop(scope, None) or Usage()

    def add(self, scope: str, **counts: float) -> None:
        """Add to the fields of `Usage` that `counts` names."""
        for usage in self._sums(scope):
            for name, count in counts.items():
                setattr(usage, name, getattr(usage, name) + count)

    def pay_wasted(self, scope: str, role: str, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Count a body that could not be used."""
        self.add(scope, wasted=1)
        cost = self._cost(model, prompt_tokens, completion_tokens)
        tokens = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self._pay(scope, role, model, tokens, cost, wasted=1)

    def _pay(self, scope: str, role: str, model: str, tokens: Mapping[str, int], cost: float, **counts: int) -> None:
        self.add(scope, cost=cost, **tokens)
        self._log.add(scope, role, model, {"cost": cost, **tokens, **counts})
        self._spending.tokens += tokens["prompt_tokens"] + tokens["completion_tokens"]
        self._spending.cost += cost

    def add_replayed(self, scope: str, key: bytes, model: str, completion: Completion) -> None:
        """Count a completion from the journal, and what it took unless the sums include it already."""
        self.add(scope, replayed=1, batched=int(completion.batch))
        if not self._is_first(scope, key):
            return
        prompt_tokens, completion_tokens = completion.prompt_tokens, completion.completion_tokens
        self.add(
            scope,
            replayed_prompt_tokens=prompt_tokens,
            replayed_completion_tokens=completion_tokens,
            replayed_cost=self._cost(
                model, prompt_tokens, completion_tokens, completion.cached_tokens, batch=completion.batch
            ),
        )

    def _is_first(self, scope: str, key: bytes) -> bool:
        counted = self._counted.setdefault(scope, set())
        if key in counted:
            return False
        counted.add(key)
        return True

    def _cost(
        self, model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, *, batch: bool = False
    ) -> float:
        if price := self._prices.get(model):
            return price.cost(prompt_tokens, completion_tokens, cached_tokens=cached_tokens, batch=batch)
        return 0.0

    def add_completion(
        self, scope: str, key: bytes, role: str, model: str, completion: Completion, latency: float, moment: float
    ) -> None:
        """Count a completion that took `latency` seconds and came in `moment` seconds after the engine's start."""
        self._is_first(scope, key)
        tokens = {name: getattr(completion, name) for name in TOKENS}
        cost = self._cost(model, completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens)
        self._pay(scope, role, model, tokens, cost, calls=1)
        self.add(scope, calls=1, wait_seconds=latency)
        for usage in self._sums(scope):
            if len(usage.latencies) < self._sample:
                usage.latencies.append(latency)
                usage.moments.append(moment)
            elif (index := random.randrange(usage.calls)) < self._sample:
                usage.latencies[index], usage.moments[index] = latency, moment

    def _sums(self, scope: str) -> tuple[Usage, Usage]:
        if scope not in self._scopes:
            self._scopes[scope] = Usage()
        return self._scopes[scope], self.total
