"""What the demonstration shows, as text: rendered from one scrape of the exporter, for a terminal or as a line."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.testbed.exporter import Metrics

RATE_WINDOW = 5.0
"""Seconds over which rates and means are taken."""

BAR = 40
"""Characters of the budget's bar."""

CAUSES = ("pool", "network", "lock", "execution", "storage")


@dataclass(frozen=True)
class Scene:
    """What a scrape shows, None where the exporter says nothing (yet, or any more); times are seconds."""

    jobs: Mapping[str, float]
    """Jobs that aren't finished, by state."""
    completed: float | None
    """Since the exporter started."""
    per_second: float | None
    inflight: float | None
    """Age of the oldest completing statement, the highest of the last minute."""
    silence: float | None
    """Since the last completion was committed."""
    used: float | None
    """Share of the completer's budget; 1 means attempts time out."""
    causes: Mapping[str, float]
    """Time by cause, of one attempt."""
    leading: str
    """The cause that leads, empty if none does."""
    lock: tuple[float, str] | None
    """The longest wait for a lock, and what kind of blocker it is behind."""
    pool: tuple[float, float] | None
    """Connections of River's pool in use, and how many there may be."""
    roundtrip: float | None
    """Mean of the round trips of the last seconds."""


class Recent:
    """A counter's values of the last `RATE_WINDOW` seconds."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque()

    def rise(self, value: float | None, now: float) -> tuple[float, float]:
        """Note a value and return by how much the counter rose, and in how many seconds; a restart is no fall."""
        if value is None:
            self._values.clear()
            return 0.0, 0.0
        self._values.append((now, value))
        while len(self._values) > 2 and self._values[1][0] <= now - RATE_WINDOW:
            self._values.popleft()
        then, before = self._values[0]
        return max(0.0, value - before), now - then


class Watch:
    """Turns scrapes into scenes; keeps what rates need."""

    def __init__(self) -> None:
        self._completed, self._trips, self._trip_seconds = Recent(), Recent(), Recent()

    def see(self, metrics: Metrics, now: float) -> Scene:
        """Make the scene of a scrape taken at `now`, in seconds of a clock that doesn't jump."""
        completed = metrics.total("river_jobs_finished_total", state="completed")
        states = {sample.labels["state"] for sample in metrics.samples("river_jobs")}
        jobs = {state: metrics.total("river_jobs", state=state) or 0.0 for state in sorted(states)}
        causes = {cause: metrics.most("river_completer_budget_seconds", cause=cause) for cause in CAUSES}
        leading = [cause for cause in CAUSES if metrics.most("river_completer_cause", cause=cause)]
        risen, seconds = self._completed.rise(completed, now)
        trips, _ = self._trips.rise(metrics.total("river_probe_roundtrip_seconds_count"), now)
        trip_seconds, _ = self._trip_seconds.rise(metrics.total("river_probe_roundtrip_seconds_sum"), now)
        return Scene(
            jobs=jobs,
            completed=completed,
            per_second=risen / seconds if seconds else None,
            inflight=metrics.most("river_completer_inflight_seconds"),
            silence=metrics.most("river_completer_silence_seconds"),
            used=metrics.most("river_completer_budget_used_ratio"),
            causes={cause: seconds for cause, seconds in causes.items() if seconds is not None},
            leading=leading[0] if leading else "",
            lock=_lock(metrics),
            pool=_pool(metrics),
            roundtrip=trip_seconds / trips if trips else None,
        )


def _lock(metrics: Metrics) -> tuple[float, str] | None:
    longest = max(metrics.samples("river_lock_wait_seconds"), key=lambda sample: sample.value, default=None)
    return (longest.value, longest.labels.get("blocker", "")) if longest is not None and longest.value else None


def _pool(metrics: Metrics) -> tuple[float, float] | None:
    used = metrics.total("river_pool_connections", source="pgxpool", state="acquired")
    most = metrics.total("river_pool_max_connections", source="pgxpool")
    return (used, most) if used is not None and most is not None else None


def line(scene: Scene, seconds: float, fault: str) -> str:
    """Render one line of ``name=value`` for where there is no terminal."""
    facts: dict[str, str] = {
        "available": _number(scene.jobs.get("available"), 0),
        "running": _number(scene.jobs.get("running"), 0),
        "completed": _number(scene.completed, 0),
        "completions_per_second": _number(scene.per_second, 1),
        "inflight_seconds": _number(scene.inflight, 2),
        "silence_seconds": _number(scene.silence, 1),
        "budget_used": _number(scene.used, 2),
        **{f"{cause}_seconds": _number(value, 3) for cause, value in scene.causes.items()},
        "cause": scene.leading or "none",
        "lock": f"{scene.lock[0]:.1f}s behind {scene.lock[1]}" if scene.lock else "none",
        "pool": f"{scene.pool[0]:.0f}/{scene.pool[1]:.0f}" if scene.pool else "unknown",
        "fault": fault,
    }
    return f"{seconds:5.0f} s  " + "  ".join(f"{name}={value}" for name, value in facts.items())


def screen(scene: Scene, title: str, address: str, keys: Sequence[tuple[str, str, bool]], fault: str) -> list[str]:
    """Render the lines of the terminal view.

    Args:
        scene: What the last scrape showed.
        title: The first line.
        address: Of /metrics.
        keys: (key, fault, whether it is on), in the order shown.
        fault: What the switch says of itself.
    """
    states = "   ".join(f"{state} {count:.0f}" for state, count in scene.jobs.items()) or "unknown yet"
    lock = f"waited {scene.lock[0]:.1f} s behind {scene.lock[1]}" if scene.lock else "nobody waits"
    pool = f"{scene.pool[0]:.0f} of {scene.pool[1]:.0f} connections in use" if scene.pool else "unknown"
    trip = (
        f"{scene.roundtrip * 1000:.1f} ms a round trip"
        if scene.roundtrip is not None
        else "no answer in the last seconds"
    )
    rows = {
        "jobs": states,
        "completed": f"{_number(scene.completed, 0)}   {_number(scene.per_second, 1)} per second"
        f"   the last {_number(scene.silence, 1)} s ago",
        "in flight": f"{_number(scene.inflight, 2)} s at most in the last minute",
        "lock": lock,
        "pool": pool,
        "network": trip,
        "budget": _bar(scene),
    }
    columns = [f"[{key}] {name}{' <' if on else ''}" for key, name, on in keys]
    width = max(map(len, columns), default=0) + 2
    return [
        title,
        f"metrics at {address}",
        "",
        *(f"  {name:<10} {text}" for name, text in rows.items()),
        *(f"  {'':<10} {cause:<10} {seconds:6.2f} s" for cause, seconds in scene.causes.items()),
        "",
        *("  " + "".join(text.ljust(width) for text in columns[row : row + 3]) for row in range(0, len(columns), 3)),
        "",
        f"  fault: {fault}",
        "  a key provokes its fault, the same key or 0 lifts it, q ends",
    ]


def _bar(scene: Scene) -> str:
    if scene.used is None:
        return "unknown"
    filled = round(min(1.0, scene.used) * BAR)
    leading = f", {scene.leading} leads" if scene.leading else ""
    return f"{'#' * filled}{'.' * (BAR - filled)} {scene.used:.0%} of the completer's time used{leading}"


def _number(value: float | None, digits: int) -> str:
    return "?" if value is None else f"{value:.{digits}f}"
