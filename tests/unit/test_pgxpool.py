"""The pools of River's metrics endpoints over time: which one counts, and how long an acquire has waited at least."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from exporter.budget import Wait
from exporter.collectors.pgxpool import PgxpoolCollector
from exporter.collectors.pools.page import PageError
from exporter.collectors.runner import publish
from exporter.config import load, variable
from exporter.doctor.context import observing
from exporter.metrics.metric import Totals
from tests.pages import Serve, Server, answer

Values = dict[str, dict[tuple[str, ...], float]]


class Endpoint:
    """A metrics endpoint whose text the test changes, read at the times that the test sets."""

    def __init__(self, serve: Serve, **settings: str) -> None:
        self.text, self.now = "", time.monotonic()
        self.server: Server = serve(lambda client: answer(self.text.encode())(client))
        environment = {variable("river.metrics_urls"): self.server.url} | {
            variable(key.replace("__", ".")): value for key, value in settings.items()
        }
        self.context = observing(load(None, environment), {"DATABASE_URL": "postgres://unused"})
        self.context.clock = lambda: self.now
        self.collector = PgxpoolCollector(self.context)

    def read(self, text: str, after: float = 1.0) -> Values:
        """Read a text so many seconds later; returns values by metric and labels."""
        self.now += after
        self.text = text
        found: Values = {}
        for metric, labels, value in [*publish(self.collector), *self.context.snapshot.held()]:
            if isinstance(value, Totals):
                found.setdefault(f"{metric.name}_count", {})[labels] = value.count
                found.setdefault(f"{metric.name}_sum", {})[labels] = value.total
            elif isinstance(value, int | float):
                found.setdefault(metric.name, {})[labels] = value
        return found

    def wait(self) -> Wait | None:
        """What the pools' evidence is now."""
        return self.collector.wait(self.now)


@pytest.fixture
def endpoint(serve: Serve) -> Endpoint:
    """Return an endpoint without further settings."""
    return Endpoint(serve)


def pgxpool(acquired: int, most: int = 10, acquires: int = 100, canceled: int = 0, name: str = "app") -> str:
    """Return a pool as IBM/pgxpoolprometheus has it."""
    numbers = {
        "acquired_conns": acquired,
        "idle_conns": most - acquired,
        "total_conns": most,
        "max_conns": most,
        "acquire_count": acquires,
        "empty_acquire": 0,
        "empty_acquire_wait_time_ns": 0,
        "canceled_acquire_count": canceled,
    }
    return "".join(f'pgxpool_{each}{{db_name="{name}"}} {value}\n' for each, value in numbers.items())


def sql(in_use: int, most: int, name: str, waited: float = 0.0) -> str:
    """Return a pool as database/sql's collector has it."""
    numbers = {
        "max_open_connections": most,
        "open_connections": in_use,
        "in_use_connections": in_use,
        "idle_connections": 0,
        "wait_count_total": 0,
        "wait_duration_seconds_total": waited,
    }
    return "".join(f'go_sql_{each}{{db_name="{name}"}} {value}\n' for each, value in numbers.items())


def sqlx_under_pgxpools_names(acquired: int) -> str:
    """Return what sqlx knows of its pool, under pgxpool's names: no acquire is counted."""
    return (
        f"pgxpool_acquired_conns {acquired}\npgxpool_idle_conns {10 - acquired}\n"
        "pgxpool_total_conns 10\npgxpool_max_conns 10\n"
    )


def hikaricp(pending: int, acquires: int = 100, timeouts: int = 0) -> str:
    """Return a pool of ten, all in use, as Micrometer has it."""
    return (
        "hikaricp_connections 10\nhikaricp_connections_active 10\nhikaricp_connections_idle 0\n"
        f"hikaricp_connections_max 10\nhikaricp_connections_pending {pending}\n"
        f"hikaricp_connections_timeout_total {timeouts}\nhikaricp_connections_acquire_seconds_count {acquires}\n"
        "hikaricp_connections_acquire_seconds_sum 1.0\n"
    )


FREE, MAX, CONNECTIONS = "river_pool_free_ratio", "river_pool_max_connections", "river_pool_connections"


def test_an_unlimited_pool_beside_rivers_changes_nothing(endpoint: Endpoint) -> None:
    """database/sql without SetMaxOpenConns: 8 in use of no limit, and River's 2 to 4 of 10 is all that counts."""
    for in_use in (2, 4, 3, 4, 2):
        found = endpoint.read(sql(8, 0, "web") + sql(in_use, 10, "app"))
        assert found[CONNECTIONS]["sql", "acquired"] == in_use
        assert found[MAX]["sql",] == 10
        assert found[FREE]["sql",] >= 0.6
        assert endpoint.wait() == Wait("sql", 0.0, 0.0, endpoint.now)


def test_a_pool_without_a_limit_is_never_a_cause(endpoint: Endpoint) -> None:
    """It has connections, no share of them, and the pool is left to the next best source."""
    for _ in range(30):
        found = endpoint.read(sql(40, 0, "app"))
    assert found[CONNECTIONS]["sql", "acquired"] == 40
    assert MAX not in found
    assert FREE not in found
    assert endpoint.wait() is None


def test_the_worst_of_two_pools_counts(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """River's 10 of 10, with acquires until then, beside 2 of 50: none is free, and acquires wait."""
    web = pgxpool(2, 50, name="web")
    with caplog.at_level(logging.INFO, logger="exporter"):
        endpoint.read(web + pgxpool(4, acquires=90))
        endpoint.read(web + pgxpool(10, acquires=100))
        for second in range(1, 13):
            found = endpoint.read(web + pgxpool(10, acquires=100, canceled=second // 6))
    assert found[FREE]["pgxpool",] == 0
    assert found[CONNECTIONS]["pgxpool", "acquired"] == found[MAX]["pgxpool",] == 10
    assert endpoint.wait() == Wait("pgxpool", 0.0, 12.0, endpoint.now)
    (chosen,) = [record for record in caplog.records if record.getMessage() == "several pools on the page"]
    assert chosen.__dict__["counted"] == "db_name=app"
    assert endpoint.context.pool_names == {"pgxpool": "db_name=app"}
    endpoint.read(pgxpool(3))
    assert endpoint.context.pool_names == {}


def test_labels_pick_rivers_pool(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """However bad the other one is; labels that no pool has are reported with the endpoint."""
    endpoint = Endpoint(serve, river__pool__labels="{db_name: app}")
    for acquires in range(100, 110):
        found = endpoint.read(pgxpool(3, acquires=acquires) + pgxpool(50, 50, name="web", canceled=acquires))
    assert found[FREE]["pgxpool",] == 0.7
    assert found[MAX]["pgxpool",] == 10
    assert found["river_pool_acquires_canceled_total"]["pgxpool",] == 0
    assert endpoint.wait() == Wait("pgxpool", 0.0, 0.0, endpoint.now)
    with caplog.at_level(logging.WARNING, logger="exporter"), pytest.raises(PageError):
        endpoint.read(pgxpool(3, name="other"))
    (record,) = [record for record in caplog.records if record.getMessage() == "no pool statistics"]
    assert "no pool statistics with db_name=app" in record.__dict__["error"]


def test_a_full_pool_of_another_part_that_acquires_nothing_waits_for_nothing(endpoint: Endpoint) -> None:
    """A pool of one whose connection is held for good, such as a listener's: no acquire waits for it."""
    for acquires in range(100, 130):
        found = endpoint.read(pgxpool(3, acquires=acquires) + pgxpool(1, 1, acquires=1, name="listener"))
    assert found[FREE]["pgxpool",] == 0  # which is so, and what river.pool.labels is for
    assert endpoint.wait() == Wait("pgxpool", 0.0, 0.0, endpoint.now)


def test_a_pool_that_reports_no_waits_leaves_them_to_the_next_source(endpoint: Endpoint) -> None:
    """All held and no acquire counted: the free share is known, the wait is not, and no counter is 0."""
    for _ in range(30):
        found = endpoint.read(sqlx_under_pgxpools_names(10))
    assert found[FREE]["pgxpool",] == 0
    assert endpoint.wait() is None
    assert {name for name in found if name.startswith("river_pool_")} == {FREE, MAX, CONNECTIONS}


@pytest.mark.parametrize(
    "page",
    [
        "pg_pool_max 10\npg_pool_active_connections 10\npg_pool_idle_connections 0\npg_pool_waiting_connections 3\n",
        (
            "ruby_active_record_connection_pool_size 10\nruby_active_record_connection_pool_busy 10\n"
            "ruby_active_record_connection_pool_waiting 3\n"
        ),
    ],
)
def test_who_waits_is_shown_where_only_that_is_known(endpoint: Endpoint, page: str) -> None:
    """A queue of three may move or stand still: its length is no duration."""
    for _ in range(30):
        found = endpoint.read(page)
    ((_, waiting),) = found["river_pool_clients_waiting"].items()
    assert waiting == 3
    assert list(found[FREE].values()) == [0]
    assert endpoint.wait() is None


def test_another_process_that_reports_no_waits_is_not_covered(serve: Serve) -> None:
    """Two endpoints: a healthy pgxpool stands for the sqlx beside it no longer than none of its own acquires waits."""
    other = serve(answer(sqlx_under_pgxpools_names(10).encode()))
    endpoint = Endpoint(serve)
    both = f"{endpoint.server.url},{other.url}"
    endpoint.context.config = load(None, {variable("river.metrics_urls"): both})
    endpoint.read(pgxpool(3))
    assert endpoint.wait() is None
    endpoint.read(pgxpool(10))
    for _ in range(5):
        endpoint.read(pgxpool(10))
    assert endpoint.wait() == Wait("pgxpool", 0.0, 5.0, endpoint.now)


def test_a_canceled_acquire_proves_the_wait_that_was_seen(endpoint: Endpoint) -> None:
    """River's pool is empty for 8 s, the elector's acquires end at 5 s: no more than 8 s and one reading, ever."""
    endpoint.read(pgxpool(4, acquires=100))
    worst, longest = 0.0, 0.0
    for second in range(60):
        empty = 10 <= second < 18
        text = pgxpool(10 if empty else 4, acquires=100 + min(second, 10) + max(0, second - 17), canceled=second // 15)
        found = endpoint.read(text)
        wait = endpoint.wait()
        assert wait is not None
        worst = max(worst, wait.worst)
        longest = max(longest, *found["river_pool_longest_wait_seconds"].values())
    assert found["river_pool_acquires_canceled_total"]["pgxpool",] == 3
    assert 6.0 <= worst <= 9.0
    assert longest == worst


def test_what_a_pool_that_never_recovers_waits_is_the_time_it_was_seen_full(endpoint: Endpoint) -> None:
    """Also beyond the timeout; readings that stop coming are no evidence."""
    endpoint.read(pgxpool(10))
    for second in range(1, 41):
        endpoint.read(pgxpool(10, canceled=second))
    assert endpoint.wait() == Wait("pgxpool", 0.0, 40.0, endpoint.now)
    assert endpoint.collector.wait(endpoint.now + 6) is None


def test_hikaricps_timeouts_are_no_acquires(endpoint: Endpoint) -> None:
    """Its timer counts them: acquires and timeouts that rise together got no connection."""
    endpoint.read(hikaricp(3))
    for second in range(1, 11):
        endpoint.read(hikaricp(3, acquires=100 + 2 * second, timeouts=2 * second))
    wait = endpoint.wait()
    assert wait is not None
    assert (wait.source, wait.now) == ("hikaricp", 10.0)


def test_a_full_pool_for_which_none_waits_is_only_busy(endpoint: Endpoint) -> None:
    """Where the library reports how many wait."""
    for _ in range(30):
        found = endpoint.read(hikaricp(0))
    assert endpoint.wait() == Wait("hikaricp", 0.0, 0.0, endpoint.now)
    assert found["river_pool_clients_waiting"]["hikaricp",] == 0


def test_a_restart_of_the_process_is_no_wait_and_no_rise(endpoint: Endpoint) -> None:
    """Its counters begin at 0."""
    endpoint.read(pgxpool(10, acquires=500, canceled=7))
    endpoint.read(pgxpool(10, acquires=500, canceled=8))
    found = endpoint.read(pgxpool(10, acquires=5, canceled=0))
    assert found["river_pool_acquires_canceled_total"]["pgxpool",] == 1
    assert endpoint.wait() == Wait("pgxpool", 0.0, 0.0, endpoint.now)


def test_a_pool_that_leaves_the_page_is_forgotten(endpoint: Endpoint) -> None:
    """What it was last seen to be does not stand for anything."""
    endpoint.read(pgxpool(10, name="old") + pgxpool(1))
    found: Any = endpoint.read(pgxpool(1))
    assert found[FREE]["pgxpool",] == 0.9
