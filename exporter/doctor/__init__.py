"""`river-exporter doctor`: examines the live system for what can hold completions up, and says what to do.

It reads, and changes nothing. The exporter's own collectors run for some seconds, then each check judges what they saw.
"""

from exporter.doctor.context import Options
from exporter.doctor.run import run

__all__ = ["Options", "run"]
