"""The completer's budget: a pure model of where the seconds of its worst recent attempt went.

Nothing here knows a database, a clock or HTTP: samplers hand in what they saw with the moment they saw it.
"""

from exporter.budget.attempts import Attempts, SessionRow, TimedOut
from exporter.budget.causes import CAUSES, cause_of
from exporter.budget.model import Budget, Verdict, Wait
from exporter.budget.standstill import Standstill

__all__ = ["CAUSES", "Attempts", "Budget", "SessionRow", "Standstill", "TimedOut", "Verdict", "Wait", "cause_of"]
