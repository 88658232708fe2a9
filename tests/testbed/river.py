"""A real River worker process, driven over HTTP: in Go (``tests/river_worker``) or Rust (``tests/river_worker_rust``).

River's log lines are JSON on stdout; what they say was checked with River for Go 0.16.0 and 0.51.1 and for Rust 0.5.0:
the completer's failed attempts read ``Completer error`` with the error in ``err``.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import requests

from tests.testbed.cache import PartMissing, cargo_build, go_build
from tests.testbed.process import Server, ServerFailed, Started, free_port, wait_for

Version = Literal["0.51", "0.16", "rust-0.5"]

SOURCES = Path(__file__).parents[1] / "river_worker"

RUST_SOURCES = SOURCES.with_name("river_worker_rust")
"""Knows a part of `Load` and of `Jobs`, and answers what it doesn't know with an error."""

START_TIMEOUT = 20.0
"""Seconds a worker gets until it works jobs."""

CONTROL_TIMEOUT = 10.0
"""Seconds one request to the worker's control endpoint may take; a leak waits up to 5 s for connections."""


class Load(TypedDict, total=False):
    """What a worker does, all optional; a key's name is the worker's flag, see ``river_worker -help``.

    Rates are per second, `job_seconds` and `long_job_seconds` are seconds, `long_jobs`, `complete_tx` and `fail_jobs`
    shares from 0 to 1, `burst_each`, `fetch_poll`, `rescue_after` and `stop_timeout` Go durations as ``30s``.
    """

    schema: str | None
    rate: float
    insert_tx: float
    burst_jobs: int
    burst_each: str
    job_seconds: float
    job_seconds_jitter: float
    long_jobs: float
    long_job_seconds: float
    hold: bool
    complete_tx: float
    fail_jobs: float
    workers: int
    queues: Mapping[str, int] | None
    kinds: int
    pool: int
    poll_only: bool
    fetch_poll: str
    exec_mode: str | None
    rescue_after: str
    stop_timeout: str
    pool_metrics: Literal["ibm", "otelpgx"]
    debug: bool


class Jobs(TypedDict, total=False):
    """What jobs do from now on; the keys of `Load` as the control endpoint spells them."""

    Seconds: float
    SecondsJitter: float
    LongShare: float
    LongSeconds: float
    Hold: bool
    CompleteTx: float
    FailShare: float


@dataclass(frozen=True)
class LogLine:
    """One line of the worker's log; `error` is empty where the line has none."""

    time: datetime
    message: str
    error: str


class River(Started):
    """A worker process with a River client, its pool and a load of its own; a context manager.

    It inserts jobs, works them, and serves its pool's statistics at `metrics_url`, which stays the same
    over restarts.
    """

    def __init__(self, url: str, *, version: Version = "0.51", **load: Unpack[Load]) -> None:
        """Describe a worker; `url` is the address of its database and goes by environment, not by argv."""
        self.version: Version = version
        self.load = load
        self._address = f"127.0.0.1:{free_port()}"
        self._server = Server(
            f"river-{version}",
            [binary(version), "--metrics-address", self._address, *_flags(load)],
            env={"DATABASE_URL": url},
        )
        self.log: Path = self._server.log

    @property
    def metrics_url(self) -> str:
        """The address of the pool's statistics, in Prometheus' text format."""
        return f"http://{self._address}/metrics"

    @property
    def pool(self) -> int:
        """How many connections River's pool may have."""
        return self.load.get("pool", 10)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._server.alive

    def log_end(self) -> str:
        """Return the log's last lines."""
        return self._server.log_end()

    def start(self) -> None:
        """Start the worker and wait until its client works jobs.

        Raises:
            ServerFailed: it ended, or isn't ready in time; the message has the end of its log.
        """
        before = len(self._lines("Worker: ready"))
        self._server.start()
        wait_for(
            lambda: len(self._lines("Worker: ready")) > before,
            START_TIMEOUT,
            f"River {self.version} to work jobs",
            self._server,
        )

    def stop(self) -> None:
        """Stop in an orderly way, as SIGTERM from Kubernetes would."""
        self._server.stop()

    def kill(self) -> None:
        """End at once, as a crash would: running jobs stay ``running``."""
        self._server.kill()

    def pause(self) -> None:
        """Freeze the process (SIGSTOP); its sessions stay open."""
        self._server.pause()

    def resume(self) -> None:
        """Let a frozen process run on."""
        self._server.resume()

    def leak(self, connections: int, *, transaction: bool = False) -> int:
        """Take connections out of River's pool and keep them, each idle in a transaction if asked for.

        Returns how many are leaked in all. Raises ServerFailed when not so many can be had within 5 s.
        """
        query = {"n": str(connections), "transaction": str(transaction).lower()}
        return int(self._control("leak", query))

    def cancel(self) -> int:
        """Cancel the running jobs in a transaction that stays open until `release`; return how many there were.

        Of all workers' jobs, and with River's own ``JobCancelTx``; without any running job nothing stays open.
        """
        return int(self._control("cancel"))

    def release(self) -> int:
        """Give all leaked connections back and return how many there were; roll back what `cancel` began."""
        return int(self._control("release"))

    def set_jobs(self, **jobs: Unpack[Jobs]) -> None:
        """Change what jobs do; those that hold a connection end at once when `Hold` goes off."""
        self._control("jobs", body=dict(jobs))

    def set_rate(self, per_second: float) -> None:
        """Change how many jobs are inserted per second."""
        self._control("rate", {"per_second": str(per_second)})

    def _control(
        self, action: str, query: Mapping[str, str] | None = None, body: Mapping[str, object] | None = None
    ) -> str:
        try:
            answer = requests.post(f"http://{self._address}/{action}", params=query, json=body, timeout=CONTROL_TIMEOUT)
        except requests.RequestException as error:
            raise ServerFailed(f"{self._server.name} doesn't take {action}: {error}") from None
        if not answer.ok:
            raise ServerFailed(f"{self._server.name} refuses {action}: {answer.text.strip()}")
        return answer.text

    def lines(self) -> list[LogLine]:
        """Return River's log so far, without what is no JSON line (a Go panic, a line half written)."""
        return [line for line in map(_parse, self._server.log_text().splitlines()) if line is not None]

    def _lines(self, message: str) -> list[LogLine]:
        return [line for line in self.lines() if message in line.message]

    def deadlines(self) -> list[datetime]:
        """When an attempt of the completer ended at its 10 s, by River's own log and clock."""
        if self.version == "rust-0.5":
            attempts = self._lines("River completer error")
            return [line.time for line in attempts if "attempt timed out after 10s" in line.error]
        attempts = self._lines("BatchCompleter: Completer error")
        return [line.time for line in attempts if "context deadline exceeded" in line.error]

    def given_up(self) -> list[datetime]:
        """When the completer abandoned a batch after three attempts; Rust's tries the same batch again at once."""
        rust = self.version == "rust-0.5"
        text = "giving up on this attempt cycle" if rust else "BatchCompleter: Too many errors; giving up"
        return [line.time for line in self._lines(text)]

    def elector_errors(self) -> list[datetime]:
        """When River failed to elect or re-elect its leader: in some faults well ahead of the completer."""
        return [line.time for line in self._lines("Elector: Error")]

    def close(self) -> None:
        """Stop the worker and remove its log."""
        self._server.close()


def binary(version: Version = "0.51") -> Path:
    """Return the worker built with that River, building it at the first call (a minute when cold, in Rust two).

    Raises:
        PartMissing: the sources aren't there, as in an installed wheel, or Go or Rust isn't, or the build fails.
    """
    if version == "rust-0.5":
        return cargo_build(RUST_SOURCES, "river_worker_rust")
    if not (SOURCES / "go.mod").is_file():
        raise PartMissing(f"the River worker's sources are not at {SOURCES}; run from a checkout of the repository")
    if version == "0.16":
        return go_build(SOURCES, "river_worker_016", tags=["river016"], modfile="river016.mod")
    return go_build(SOURCES, "river_worker")


def migrate(url: str, version: Version = "0.51", schema: str | None = None) -> None:
    """Bring a database to that River's newest schema with River's own migrations.

    Args:
        url: Address with the rights to create tables.
        version: Which River's migrations.
        schema: Where the tables go, created if it isn't there; the search path if not given.

    Raises:
        ServerFailed: the migration fails; the message is River's.
    """
    done = subprocess.run(
        [binary(version), "--migrate-only", *_flags({"schema": schema})],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise ServerFailed(f"River {version} could not migrate: {' '.join(last)}")


def _flags(load: Load) -> list[str]:
    """Spell a load as the worker's flags."""
    flags = []
    for key, value in load.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            value = ",".join(f"{name}={workers}" for name, workers in value.items())
        text = str(value).lower() if isinstance(value, bool) else str(value)
        flags.append(f"--{key.replace('_', '-')}={text}")
    return flags


def _parse(text: str) -> LogLine | None:
    try:
        entry = json.loads(text)
        return LogLine(datetime.fromisoformat(entry["time"]), entry["msg"], str(entry.get("err", "")))
    except (ValueError, KeyError, TypeError):
        return None
