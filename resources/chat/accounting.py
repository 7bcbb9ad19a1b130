"""What the calls of an engine took: sums by scope and in all."""

import random
from collections.abc import Mapping

from resources.chat.budget import Spending
from resources.chat.calls import Completion, Usage
from resources.chat.role_model import ModelPrice


class UsageAccount:
    """Sums by scope and in all.

    Args:
        prices: by model.
        spending: what the run has paid for; several accounts of a run share one.
        latency_sample: latencies kept per scope.
    """

    def __init__(self, prices: Mapping[str, ModelPrice], spending: Spending, latency_sample: int) -> None:
        self.total = Usage()
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

    def pay(self, scope: str, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Count the tokens of an answer, whether or not it could be used."""
        cost = self._cost(model, prompt_tokens, completion_tokens)
        self.add(scope, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, cost=cost)
        self._spending.tokens += prompt_tokens + completion_tokens
        self._spending.cost += cost

    def add_replayed(self, scope: str, key: bytes, model: str, completion: Completion) -> None:
        """Count a completion from the journal, and what it took unless the sums include it already."""
        self.add(scope, replayed=1)
        if not self._is_first(scope, key):
            return
        prompt_tokens, completion_tokens = completion.prompt_tokens, completion.completion_tokens
        self.add(
            scope,
            replayed_prompt_tokens=prompt_tokens,
            replayed_completion_tokens=completion_tokens,
            replayed_cost=self._cost(model, prompt_tokens, completion_tokens),
        )

    def _is_first(self, scope: str, key: bytes) -> bool:
        counted = self._counted.setdefault(scope, set())
        if key in counted:
            return False
        counted.add(key)
        return True

    def _cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        price = self._prices.get(model)
        return (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6 if price else 0.0

    def add_completion(
        self, scope: str, key: bytes, model: str, completion: Completion, latency: float, moment: float
    ) -> None:
        """Count a completion that took `latency` seconds and came in `moment` seconds after the engine's start."""
        self._is_first(scope, key)
        self.pay(scope, model, completion.prompt_tokens, completion.completion_tokens)
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
