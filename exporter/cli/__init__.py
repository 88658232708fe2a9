"""The command line: `river-exporter` runs the exporter, its subcommands help to set it up."""

from exporter.cli.main import main

__all__ = ["main"]
