"""The collectors: each a module with its SQL beside it, found by being here."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.collector import Collector


@cache
def names() -> tuple[str, ...]:
    """Names of all collectors, which are the names of the modules here."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@cache
def classes() -> tuple[type[Collector], ...]:
    """The collector class of each module: the one whose `name` is the module's."""
    found: list[type[Collector]] = []
    for name in names():
        module = importlib.import_module(f"{__name__}.{name}")
        found.extend(
            each
            for each in vars(module).values()
            if isinstance(each, type) and each.__module__ == module.__name__ and getattr(each, "name", None) == name
        )
    return tuple(found)
