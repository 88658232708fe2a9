"""`river-exporter doctor`: examines the live system for what delays completions, and prints the fix.

It reads, and changes nothing. The exporter's own collectors run for some seconds, then each check judges what they saw.
"""

from exporter.doctor.context import Options
from exporter.doctor.run import run

__all__ = ["Options", "run"]
