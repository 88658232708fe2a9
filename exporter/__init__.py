"""river-exporter: how much of River's batch completer budget is used, and by what."""

__version__ = "0.1.0"
