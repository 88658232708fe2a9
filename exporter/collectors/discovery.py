"""Which collectors there are: each module of this folder that declares one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from exporter import collectors
from exporter.collectors.base import Collector


@cache
def classes() -> tuple[type[Collector], ...]:
    """The collector classes, in the order of their names: of each module the class whose `name` is the module's."""
    found: list[type[Collector]] = []
    for info in sorted(pkgutil.iter_modules(collectors.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{collectors.__name__}.{info.name}")
        found.extend(
            each
            for each in vars(module).values()
            if isinstance(each, type)
            and issubclass(each, Collector)
            and each.__module__ == module.__name__
            and getattr(each, "name", None) == info.name
        )
    return tuple(found)


def names() -> tuple[str, ...]:
    """Names of all collectors, which are the names of their modules and their keys in the configuration."""
    return tuple(each.name for each in classes())
