"""The network and the way to a connection, as River has them: many tries through River's own address."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.budget.evidence import Waiting
from exporter.doctor.context import DoctorContext, at_limit, patiently
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.rules import threshold
from exporter.humanize import percentile, seconds, spread
from exporter.postgres.probe import PHASES, Probe
from exporter.postgres.sessions import Unreachable

SLOW_CONNECT, SLOW_ROUNDTRIP = threshold("RiverConnectSlow", "seconds"), threshold("RiverRoundTripSlow", "seconds")
"""Seconds from which a new connection, and a round trip, is slow."""

ONE_SLOW = 40
"""A round trip that takes this part of the timeout longer than usual is a warning by itself."""

CONNECT = Check(
    "network-connect",
    "New connections through River's endpoint, 10 of them, by phase (TCP, TLS, login). One that fails or takes the "
    f"critical share of the timeout is a problem; {seconds(SLOW_CONNECT)} is a warning.",
    "a pool that has to open a connection makes the completion wait for it",
)
ROUNDTRIP = Check(
    "network-roundtrip",
    "50 times `SELECT 1` on one connection through River's endpoint. "
    f"{seconds(SLOW_ROUNDTRIP)} (p95) is a warning, a tenth of the timeout a problem.",
    "a completion makes one to three round trips, and all of them count against its timeout",
)
JITTER = Check(
    "network-jitter",
    f"How far these round trips are from the usual one (p50): {seconds(SLOW_ROUNDTRIP)} for p95, or a fortieth of the "
    "timeout for the slowest, is a warning, a tenth of the timeout a problem.",
    "an unsteady network times out now and then, which no average shows",
)
ACQUIRE = Check(
    "pool-acquire",
    "From wanting a connection through River's endpoint to its first answer, 10 times: what a pooler in between adds "
    "is in here. Graded by the thresholds of the exporter's configuration.",
    "an attempt's timeout runs while it waits for a connection",
)
CONNECTS, ROUNDTRIPS, PAUSE = 10, 50, 0.02
DEADLINE = 3.0
"""Seconds one try may take."""

LONGEST = 6.0
"""Seconds for all tries together."""

_REMEDY = "look at the way between the pod and the server: node, mesh or proxy sidecar, cross-zone traffic, DNS, load"


@dataclass(slots=True)
class Tries:
    """What many tries through River's endpoint took, in seconds; `failed` has the reason and text of each failure.

    `limited` is the server's message when the role had no connection left for doctor, which is no fault of the network.
    """

    phases: list[dict[str, float]] = field(default_factory=list)
    roundtrips: list[float] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    limited: str = ""


def look(doctor: DoctorContext) -> Tries:
    """Try; ends early when nothing answers."""
    tries, ends = Tries(), time.monotonic() + LONGEST
    probe = Probe(doctor.context.river, DEADLINE)
    try:
        for _ in range(CONNECTS):
            tries.phases.append(patiently(probe.connect, ends - time.monotonic()))
            if time.monotonic() > ends:
                break
        for _ in range(ROUNDTRIPS):
            tries.roundtrips.append(probe.ask())
            if time.monotonic() > ends:
                break
            time.sleep(PAUSE)
    except Unreachable as error:
        if at_limit(str(error)):
            tries.limited = str(error)
        else:
            tries.failed.append((error.reason, str(error)))
    finally:
        probe.close()
    return tries


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """Try, and judge."""
    now = doctor.context.clock()
    waiting = doctor.context.board.latest(Waiting, "network", now)
    said = waiting.at_moment(now) if waiting else None
    if said and said.now >= DEADLINE:
        # the samplers' own question hangs: no need to hang another time to know
        yield CONNECT.problem(f"no answer through River's endpoint for {seconds(said.now)}", remedy=_REMEDY)
        return
    pooled = str(doctor.context.river) != str(doctor.context.database.address)
    yield from judge(look(doctor), doctor.timeout, doctor.warning, doctor.critical, pooled=pooled)


def judge(tries: Tries, timeout: float, warning: float, critical: float, *, pooled: bool) -> Iterator[Finding]:
    """What the tries say.

    Args:
        warning: seconds of an attempt from which it is slow; `critical` those from which it nearly fails.
        pooled: whether River's endpoint is another than the database's.
    """
    if tries.limited and not tries.phases:
        for check in GROUP.checks:
            yield check.not_examined("the role has no connection left for doctor", remedy="see connection")
        return
    for reason, text in tries.failed:
        yield CONNECT.problem(f"no connection through River's endpoint: {reason}", text, remedy=_REMEDY)
    if tries.phases and not tries.failed:
        connects = [sum(each.values()) - each["query"] for each in tries.phases]
        longest = {phase: max(each.get(phase, 0.0) for each in tries.phases) for phase in PHASES}
        slowest = ", ".join(f"{phase} {seconds(value)}" for phase, value in longest.items() if value)
        yield CONNECT.graded(
            max(connects), min(SLOW_CONNECT, warning), critical, f"a new connection: {spread(connects)}",
            f"longest by phase: {slowest}", remedy=_REMEDY,
        )  # fmt: skip
    if tries.roundtrips:
        usual, high = percentile(tries.roundtrips, 0.5), percentile(tries.roundtrips, 0.95)
        worst = max(tries.roundtrips) - usual
        yield ROUNDTRIP.graded(
            high, SLOW_ROUNDTRIP, timeout / 10, f"a round trip: {spread(tries.roundtrips)}", remedy=_REMEDY
        )
        # a single one of some 100 ms is a busy processor's as often as the network's
        unsteady = max(worst, timeout / ONE_SLOW) if high - usual >= SLOW_ROUNDTRIP else worst
        yield JITTER.graded(
            unsteady, timeout / ONE_SLOW, timeout / 10, f"round trips differ by {seconds(worst)}", remedy=_REMEDY
        )
    if tries.phases:
        acquires = [sum(each.values()) for each in tries.phases]
        place = "over what is between" if pooled else "straight to the server"
        yield ACQUIRE.graded(
            max(acquires), min(SLOW_CONNECT, warning), critical,
            f"a connection, answering, {place}: {spread(acquires)}",
            remedy="raise the pooler's pool_size for River's user, or end what holds its server connections",
        )  # fmt: skip


GROUP = Group(
    "The network", (CONNECT, ROUNDTRIP, JITTER, ACQUIRE), examine, needs="nothing", progress="trying River's endpoint"
)
