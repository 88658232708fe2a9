"""Draws docs/pictures/budget.svg from the model itself: `python -m tests.budget_picture [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

from dashboards.style import CAUSES, CRITICAL, TIMEOUT, WARNING
from exporter.budget import Budget, Wait

FILE = Path(__file__).parents[1] / "docs" / "pictures" / "budget.svg"
BUDGET, WINDOW, WARN, CRIT = 10.0, 60.0, 0.3, 0.5
BEGINS, ENDS, LAST = 20, 27, 100
"""Seconds at which the lock is taken and released, and at which the picture ends."""


def verdicts() -> tuple[list[dict[str, float]], list[float]]:
    """What the model has each second of the worst attempt by cause, and of the one in progress."""
    budget = Budget(BUDGET, WINDOW, WARN)
    seconds, stalls = [], []
    for now in range(LAST):
        waiting = now - BEGINS if BEGINS < now <= ENDS else 0
        attempt = {"lock": float(waiting), "execution": 0.3} if waiting else {"execution": 0.2, "storage": 0.1}
        pool, network = Wait("pgxpool", 0.4, 0.0, now), Wait("probe", 0.15, 0.0, now)
        verdict = budget.tick(now, attempt, {"pool": pool, "network": network})
        seconds.append(dict(verdict.seconds))
        stalls.append(verdict.stall or 0.0)
    return seconds, stalls


def main(file: Path = FILE) -> int:
    """Draw; returns the exit code."""
    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "budget", "svg.fonttype": "none", "font.size": 11, "font.family": "sans-serif"}
    )
    from matplotlib import pyplot

    seconds, stalls = verdicts()
    figure, axes = pyplot.subplots(figsize=(9, 4.2))
    times = range(LAST)
    stacked = [[each.get(cause, 0.0) for each in seconds] for cause in CAUSES]
    axes.stackplot(times, stacked, colors=list(CAUSES.values()), labels=list(CAUSES), step="post")
    axes.step(times, stalls, where="post", color="#1c2127", linewidth=1.5, label="in progress now")
    for level, colour, text in ((BUDGET, TIMEOUT, "timeout"), (5.0, CRITICAL, "critical"), (3.0, WARNING, "warning")):
        axes.axhline(level, color=colour, linestyle="--", linewidth=1.5)
        axes.text(LAST + 0.5, level, text, va="center")
    axes.annotate("a row is locked", (BEGINS, 1.0), (3, 6.3), arrowprops={"arrowstyle": "->"})
    axes.annotate("released after 7 s", (ENDS, 7.4), (32, 9.0), arrowprops={"arrowstyle": "->"})
    axes.annotate(
        "held until the window of 60 s ends", (ENDS + WINDOW, 7.6), (57, 9.0), arrowprops={"arrowstyle": "->"}
    )
    axes.set(xlim=(0, LAST), ylim=(0, 11), xlabel="seconds", ylabel="seconds of one attempt")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=6, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, bbox_inches="tight", facecolor="white", metadata={"Date": None, "Creator": None})
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
