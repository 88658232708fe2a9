"""Every fault, provoked for real until River itself fails: is the cause right, and how long before is it said?

`python -m tests.bench.precursor` runs them all and writes docs/precursor.md with a picture; names select a few.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.chain import AFTERWARDS, RESOLVE_PATIENCE, Chain
from tests.bench.report import write
from tests.bench.scenarios import SCENARIOS, Scenario, Scene, scene
from tests.testbed.cache import say
from tests.testbed.exporter import Metrics
from tests.testbed.faults import FAULTS

WARNING, CRITICAL = 0.3, 0.5
HEALTHY_SECONDS = 25.0
"""Before the fault: the exporter learns how long jobs take, and must say nothing."""

PATIENCE = 60.0
"""How long River may take to fail once the fault has stopped growing."""

RESOLVES = 400.0
"""How long a page usually takes to resolve, for the estimate."""

RESULTS = Path("build") / "precursor.json"


@dataclass
class Result:
    """What one scenario showed; times are seconds after the fault began, None for what never happened.

    Attributes:
        patience: seconds that the page was given to resolve; None where there was nobody to page.
    """

    name: str
    expected: str
    sudden: bool
    cliff: bool = False
    fails: bool = True
    patience: float | None = None
    cause: str | None = None
    warned: float | None = None
    critical: float | None = None
    deadline: float | None = None
    false_alarms: int = 0
    peak: float = 0.0
    deadlines: int = 0
    timeouts: float = 0.0
    pages: int = 0
    paged: float | None = None
    page_cause: str | None = None
    resolved: float | None = None
    first_told: float | None = None
    told: list[str] = field(default_factory=list)
    ratio: list[tuple[float, float]] = field(default_factory=list)

    @property
    def lead(self) -> float | None:
        """Seconds from the critical threshold to River's first deadline."""
        if self.critical is None or self.deadline is None:
            return None
        return self.deadline - self.critical

    @property
    def page_lead(self) -> float | None:
        """Seconds from the page to River's first deadline; negative when it came later."""
        if self.paged is None or self.deadline is None:
            return None
        return self.deadline - self.paged

    @property
    def told_lead(self) -> float | None:
        """Seconds from the first word to anybody, a warning mostly, to River's first deadline."""
        if self.first_told is None or self.deadline is None:
            return None
        return self.deadline - self.first_told


def run(scenario: Scenario, *, alerts: bool, resolve: float = RESOLVE_PATIENCE) -> Result:
    """One scenario from a healthy start to River's failure, or to the end of patience.

    Args:
        alerts: whether Prometheus and Alertmanager stand behind the exporter.
        resolve: seconds that the page is given to resolve.
    """
    patience = resolve if alerts else None
    result = Result(scenario.name, scenario.cause, scenario.sudden, scenario.cliff, scenario.fails, patience)
    with scene(scenario) as parts, Chain.beside(parts.exporter, wanted=alerts) as chain:
        began = time.monotonic()
        while time.monotonic() - began < HEALTHY_SECONDS:
            ratio = parts.exporter.metrics().most("river_completer_budget_used_ratio") or 0.0
            result.false_alarms += ratio >= WARNING
            time.sleep(1)
        say(f"{scenario.name}: the fault begins")
        with FAULTS[scenario.fault](parts.environment, scenario.start) as fault:
            started, wall = time.monotonic(), datetime.now(UTC)
            while not _over(scenario, parts, chain, time.monotonic() - started):
                at = time.monotonic() - started
                if not scenario.sudden:
                    share = min(1.0, at / scenario.seconds)
                    fault.set(scenario.start + (scenario.end - scenario.start) * share)
                _look(result, parts.exporter.metrics(), at)
                time.sleep(max(0.0, 1 - (time.monotonic() - started - at)))
        lifted = time.monotonic()
        result.deadlines = len(parts.river.deadlines())
        result.timeouts = parts.exporter.metrics().total("river_completer_timeouts_total") or 0.0
        if parts.river.deadlines():
            result.deadline = (parts.river.deadlines()[0] - wall).total_seconds()
        chain.finish(result, wall, lifted, patience=resolve)
    lead = f"{result.lead:.0f} s" if result.lead is not None else "-"
    cause = f"{result.cause or 'nothing'} (expected {scenario.cause})"
    say(f"{scenario.name}: {cause}, lead {lead}, {result.pages} page(s)")
    return result


def _over(scenario: Scenario, parts: Scene, chain: Chain, at: float) -> bool:
    """Until River's own log tells of a deadline, with a moment more for the exporter to count it and for the page."""
    if not scenario.fails:
        return at > scenario.seconds + 10
    deadlines = parts.river.deadlines()
    if deadlines and (datetime.now(UTC) - deadlines[0]).total_seconds() > (12 if chain.told() else 35):
        return True
    return at > scenario.seconds + PATIENCE


def _look(result: Result, metrics: Metrics, at: float) -> None:
    ratio = metrics.most("river_completer_budget_used_ratio") or 0.0
    result.ratio.append((round(at, 1), round(ratio, 3)))
    result.peak = max(result.peak, ratio)
    if ratio >= WARNING and result.warned is None:
        result.warned = at
    if ratio >= CRITICAL and result.critical is None:
        result.critical = at
    said = [each.labels["cause"] for each in metrics.samples("river_completer_cause")]
    if said and (result.cause is None or result.critical is None or result.critical == at):
        result.cause = said[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 when every cause was right, every lead long enough and no alarm false."""
    parser = argparse.ArgumentParser(prog="make bench-precursor", description=__doc__)
    parser.add_argument("only", nargs="*", help="parts of names; all scenarios unless given")
    parser.add_argument("--jobs", type=int, default=2, help="scenarios at the same time (default %(default)s)")
    parser.add_argument("--again", action="store_true", help="the others' results are those of the last run here")
    parser.add_argument("--alerts", action="store_true", help="with Prometheus, Alertmanager and a receiver of pages")
    options = parser.parse_args(arguments)
    chosen = [each for each in SCENARIOS if not options.only or any(part in each.name for part in options.only)]
    if not chosen:
        parser.error(f"no scenario has {', '.join(options.only)} in its name")
    say(f"{len(chosen)} scenarios, {options.jobs} at a time, about {_minutes(chosen, options):.0f} min")
    before = [Result(**each) for each in json.loads(RESULTS.read_text())] if options.again else []
    results = {each.name: each for each in before}
    RESULTS.parent.mkdir(exist_ok=True)
    shared, alone = ([each for each in chosen if each.alone == apart] for apart in (False, True))
    for scenarios, jobs in ((shared, options.jobs), (alone, 1)):
        with ThreadPoolExecutor(jobs) as pool:
            for result in pool.map(lambda each: run(each, alerts=options.alerts), scenarios):
                results[result.name] = result
                RESULTS.write_text(json.dumps([asdict(each) for each in results.values()]))
    found = [results[each.name] for each in SCENARIOS if each.name in results]
    return write(found, healthy=HEALTHY_SECONDS, whole=len(found) == len(SCENARIOS))


def _minutes(chosen: Sequence[Scenario], options: argparse.Namespace) -> float:
    resolve = RESOLVES + AFTERWARDS if options.alerts else 0.0
    seconds = sum(HEALTHY_SECONDS + 15 + resolve + (40 if each.sudden else each.seconds) for each in chosen)
    return float(seconds / 60 / options.jobs)


if __name__ == "__main__":
    sys.exit(main())
