"""The faults that the exporter must see coming: what each is, how it grows, and what it must be called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.shares import slow_disk
from tests.testbed.exporter import Exporter
from tests.testbed.faults import Environment
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import Load, River, Version

DATABASE, ROLE, PASSWORD = "app", "river_exporter", "only-for-a-throw-away-server"


@dataclass(frozen=True)
class Scenario:
    """One fault.

    Attributes:
        name: of the scenario, for the table and the command line.
        fault: its name among the demo's faults.
        cause: what the budget must call it.
        start, end: the intensity grows from one to the other, in the fault's own unit; equal for a sudden stall.
        seconds: how long it grows; after that it stays for as long as River needs to fail.
        through: what stands between River and PostgreSQL.
        pool_statistics: whether the exporter may read River's own pool.
        version: of River.
        load: what River does, beside the default 50 jobs of 250 ms a second on 20 workers and 10 connections.
        cliff: whether what grows is slow for nobody until it is used up: then the stall comes at once, and the sign of
            it beforehand is a warning.
        pool_size_known: whether River's URL, as the exporter has it, says how many connections its pool may open.
        fails: whether River is expected to reach its deadline; a slow index only gets slower.
        settings: of PostgreSQL.
        disk: bytes a second that the server may write, as on a cloud's volume that is out of credit; no limit if None.
    """

    name: str
    fault: str
    cause: str
    start: float = 0.0
    end: float = 0.0
    seconds: float = 240.0
    through: Literal["nothing", "proxy", "pgbouncer"] = "nothing"
    pool_statistics: bool = False
    version: Version = "0.51"
    load: Load = field(default_factory=Load)
    cliff: bool = False
    pool_size_known: bool = False
    fails: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    disk: int | None = None

    @property
    def sudden(self) -> bool:
        """Whether it comes at once."""
        return self.start == self.end

    @property
    def alone(self) -> bool:
        """Whether it must not run beside others: a slow disk is slow for everybody's journal."""
        return self.disk is not None


_IN_MEMORY: Mapping[str, str] = {"shared_buffers": "1GB"}
"""Room for the whole table: what is slow is the plan, not the reading of pages."""

_BOUNCED = Load(poll_only=True, exec_mode="exec")

SCENARIOS = (
    Scenario("row lock, idle in transaction", "row-lock", "lock", 0.5, 11.5),
    Scenario("row lock, a long UPDATE", "long-update", "lock", 0.5, 11.5),
    Scenario("row lock, another River", "other-river", "lock", 0.5, 11.5),
    Scenario("row lock, River 0.16", "row-lock", "lock", 0.5, 11.5, version="0.16"),
    Scenario("row lock, at once", "row-lock", "lock", 60, 60),
    Scenario("row lock, at once, pool statistics known", "row-lock", "lock", 60, 60, pool_statistics=True),
    Scenario("LOCK TABLE", "table-lock", "lock", 0.5, 11.5),
    Scenario("ALTER TABLE behind an idle reader", "ddl", "lock", 60, 60),
    Scenario("VACUUM FULL behind an idle reader", "vacuum-full", "lock", 60, 60),
    Scenario("pool leaked", "pool-exhausted", "pool", 1, 10, pool_statistics=True, cliff=True),
    Scenario("transactions leaked, the pool's size in River's URL", "transactions-leaked", "pool", 1, 10,
             pool_size_known=True, cliff=True),
    Scenario("pool leaked, statistics unknown", "pool-exhausted", "pool", 10, 10),
    Scenario("pool leaked before PgBouncer, statistics unknown", "pool-exhausted", "pool", 10, 10, through="pgbouncer",
             load=_BOUNCED),
    Scenario("workers hold all connections", "pool-held", "pool", 0.25, 10.3, pool_statistics=True),
    Scenario("workers hold all connections, statistics unknown", "pool-held", "pool", 0.25, 10.3),
    Scenario("PgBouncer exhausted", "pgbouncer-exhausted", "pool", 10, 10, through="pgbouncer", load=_BOUNCED),
    Scenario("PgBouncer exhausted, one by one", "pgbouncer-exhausted", "pool", 1, 10, through="pgbouncer",
             load=_BOUNCED, cliff=True),
    Scenario("PgBouncer exhausted, River's pool free", "pgbouncer-exhausted", "pool", 10, 10, through="pgbouncer",
             pool_statistics=True, load=_BOUNCED | {"pool": 60}),
    Scenario("network delay", "network-delay", "network", 0.05, 4, through="proxy"),
    Scenario("network jitter", "jitter", "network", 0.05, 6, through="proxy"),
    Scenario("network black hole", "black-hole", "network", 60, 60, through="proxy"),
    Scenario("network black hole, pool statistics known", "black-hole", "network", 60, 60, through="proxy",
             pool_statistics=True),
    Scenario("proxy accepts and stalls", "accept-then-stall", "network", 60, 60, through="proxy"),
    Scenario("slow trigger, sleeping", "slow-statement", "execution", 0.1, 11.5),
    Scenario("slow trigger, busy", "slow-trigger", "execution", 0.1, 11.5),
    Scenario("slow trigger, at once, pool statistics known", "slow-statement", "execution", 60, 60,
             pool_statistics=True),
    Scenario("missing index", "missing-index", "execution", 20_000, 400_000, fails=False, settings=_IN_MEMORY),
    Scenario("bloat", "bloat", "execution", 20_000, 600_000, fails=False, settings=_IN_MEMORY),
    Scenario("synchronous standby gone", "sync-standby", "storage", 60, 60),
    Scenario("synchronous standby slow", "sync-standby", "storage", 0.5, 11.5),
    Scenario("synchronous standby gone, pool statistics known", "sync-standby", "storage", 60, 60,
             pool_statistics=True),
    Scenario("synchronous standby gone, River 0.16", "sync-standby", "storage", 60, 60, version="0.16"),
    Scenario("checkpoint storm", "checkpoint-storm", "storage", 1, 20, disk=6_000_000),
)  # fmt: skip
"""All of them; the growing ones bring River to its deadline after three to four minutes."""


@dataclass(frozen=True)
class Scene:
    """What a scenario runs in."""

    postgres: Postgres
    river: River
    exporter: Exporter
    environment: Environment


@contextmanager
def scene(scenario: Scenario) -> Iterator[Scene]:
    """PostgreSQL, River and the exporter with its least-privilege role, as the scenario wants them."""
    with ExitStack() as parts:
        postgres = parts.enter_context(Postgres(18, {"max_prepared_transactions": 10, **scenario.settings}))
        postgres.create_database(DATABASE)
        prepare(postgres, DATABASE, ROLE, PASSWORD, version=scenario.version)
        if scenario.disk:
            parts.enter_context(slow_disk(postgres, scenario.disk))
        rivers, own = postgres.url(DATABASE), postgres.url(DATABASE, ROLE, PASSWORD)
        settings: dict[str, str] = {}
        own_through: str | None = None
        proxy: TcpProxy | None = None
        pgbouncer: PgBouncer | None = None
        if scenario.through == "proxy":
            proxy = parts.enter_context(TcpProxy(postgres.host, postgres.port))
            rivers, own_through = proxy.url(rivers), proxy.url(own)
        elif scenario.through == "pgbouncer":
            pgbouncer = parts.enter_context(PgBouncer(postgres, DATABASE, {ROLE: PASSWORD}, pool_size=10))
            rivers, own_through = pgbouncer.url(), pgbouncer.url(ROLE)
            settings["pgbouncer.url"] = pgbouncer.console_url
            settings["pgbouncer.user"] = "postgres"
        load = Load(rate=50, job_seconds=0.25, workers=20, pool=10) | scenario.load
        if scenario.pool_size_known:
            own_through = f"{own}?pool_max_conns={load['pool']}"
            rivers += "?application_name=shop-worker"
            settings["river.sessions.application_name"] = "^shop-worker$"
        river = parts.enter_context(River(rivers, version=scenario.version, **load))
        pages = [river.metrics_url] if scenario.pool_statistics else []
        exporter = parts.enter_context(
            Exporter(own, river_url=own_through or own, metrics_urls=pages, settings=settings)
        )
        environment = Environment(postgres.url(DATABASE), river, proxy, pgbouncer)
        yield Scene(postgres, river, exporter, environment)
