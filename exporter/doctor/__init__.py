"""`river-exporter doctor`: walks through all that can hold the completer up, against the live system, and names it.

It reads, and changes nothing. The exporter's own collectors look for some seconds, then each check judges what
they saw.
"""

from exporter.doctor.run import Options, run

__all__ = ["Options", "run"]
