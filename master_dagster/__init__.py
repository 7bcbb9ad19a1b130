"""MASTER on Dagster. `BoostQA` is the graph as a component; it is imported when it is asked for."""

from typing import Any

__all__ = ["BoostQA"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name == "BoostQA":
        from master_dagster.component import BoostQA

        return BoostQA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
