"""The configuration: one frozen, validated object made from a YAML file, `RIVER_EXPORTER_*` variables and flags."""

from exporter.config.model import (
    PREFIX,
    Config,
    Duration,
    Endpoint,
    Loaded,
    Log,
    Web,
    dump,
    examine,
    keys,
    load,
    read,
    schema,
    variable,
)

__all__ = [
    "PREFIX",
    "Config",
    "Duration",
    "Endpoint",
    "Loaded",
    "Log",
    "Web",
    "dump",
    "examine",
    "keys",
    "load",
    "read",
    "schema",
    "variable",
]
