"""Pool statistics: three libraries' words and database/sql's for one meaning, over time and restarts."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest

from exporter.collectors.pools.statistics import NAMES, PoolChange, PoolStatistics, change, parse

NOISE = """# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 42
# a line that is no series at all {{{
"""

IBM = """# HELP pgxpool_acquired_conns Number of currently acquired connections in the pool.
# TYPE pgxpool_acquired_conns gauge
pgxpool_acquired_conns{db_name="app"} 7
pgxpool_idle_conns{db_name="app"} 2
pgxpool_total_conns{db_name="app"} 10
pgxpool_max_conns{db_name="app"} 10
pgxpool_constructing_conns{db_name="app"} 1
pgxpool_acquire_count{db_name="app"} 1000
pgxpool_acquire_duration_ns{db_name="app"} 9e+09
pgxpool_empty_acquire{db_name="app"} 40
pgxpool_empty_acquire_wait_time_ns{db_name="app"} 2.5e+09
pgxpool_canceled_acquire_count{db_name="app"} 3
"""

OTELPGX = """pgxpool_acquired_connections 7
pgxpool_idle_connections 2
pgxpool_total_connections 10
pgxpool_max_connections 10
pgxpool_constructing_connections_milliseconds 1
pgxpool_acquires_total 1000
pgxpool_acquire_duration_nanoseconds_total 9e+09
pgxpool_empty_acquire_total 40
pgxpool_empty_acquire_wait_time_nanoseconds_total 2.5e+09
pgxpool_canceled_acquires_total 3
"""

CMACKENZIE = """pgx_pool_acquire_connections 7
pgx_pool_idle_connections 2
pgx_pool_total_connections 10
pgx_pool_max_connections 10
pgx_pool_constructing_connections 1
pgx_pool_empty_acquire_count 40
pgx_pool_canceled_acquire_count 3
"""

SQL = """go_sql_max_open_connections{db_name="app"} 10
go_sql_open_connections{db_name="app"} 9
go_sql_in_use_connections{db_name="app"} 7
go_sql_idle_connections{db_name="app"} 2
go_sql_wait_count_total{db_name="app"} 40
go_sql_wait_duration_seconds_total{db_name="app"} 2.5
"""

COMMON = {"acquired": 7, "idle": 2, "total": 10, "most": 10, "empty": 40}


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (IBM, {"source": "pgxpool", "acquires": 1000, "waited": 2.5, "canceled": 3, "constructing": 1}),
        (OTELPGX, {"source": "pgxpool", "acquires": 1000, "waited": 2.5, "canceled": 3, "constructing": 1}),
        (CMACKENZIE, {"source": "pgxpool", "canceled": 3, "constructing": 1}),
        (SQL, {"source": "sql", "total": 9, "waited": 2.5}),
    ],
)
def test_each_vocabulary_says_the_same(page: str, said: dict[str, object]) -> None:
    """Seconds are seconds, whatever the unit; what a library does not say is unknown, not zero."""
    found = parse(NOISE + page)
    assert found is not None
    assert {name: value for name, value in asdict(found).items() if value is not None} == pytest.approx(COMMON | said)
    assert found.free_ratio == 0.3  # to the last bit: an alert says `<= 0.3`
    assert not found.full


def test_every_name_is_used_by_a_vocabulary() -> None:
    """No name is known that no page has; the newer spelling of one of otelpgx's aside."""
    seen = set(re.findall(r"^\w+", IBM + OTELPGX + CMACKENZIE + SQL, re.MULTILINE))
    assert set(NAMES) - seen == {"pgxpool_constructing_connections"}


def test_several_pools_of_one_process_are_added_up() -> None:
    """A process may register more than one."""
    found = parse(IBM + IBM.replace("app", "other"))
    assert found is not None
    assert (found.acquired, found.most, found.waited) == (14, 20, 5)


@pytest.mark.parametrize(
    "page", [NOISE, "pgxpool_acquired_conns 3\n", IBM.replace("pgxpool_max_conns", "x"), "# TYPE x gauge\n"]
)
def test_a_page_without_a_pool_is_none(page: str) -> None:
    """Other metrics, or half of a pool's."""
    assert parse(page) is None


@pytest.mark.parametrize(
    "page",
    [
        "<!doctype html><html><body>Sign in</body></html>",
        "",
        "{}",
        "\x00\xff",
        'pgxpool_acquired_conns{db_name="a 3\n',
        "pgxpool_acquired_conns\n",
        "pgxpool_acquired_conns seven\n",
        "pgxpool_acquired_conns{} {} {}\n",
        "pgxpool_acquired_conns{a=b,c} 1\npgxpool_max_conns }{ 1",
        IBM.replace("pgxpool_canceled_acquire_count{db_name=\"app\"} 3", "pgxpool_canceled_acquire_count NaN"),
        IBM.replace("pgxpool_max_conns{db_name=\"app\"} 10", "pgxpool_max_conns +Inf"),
        IBM.replace("pgxpool_acquired_conns{db_name=\"app\"} 7", "pgxpool_acquired_conns -7"),
    ],
)  # fmt: skip
def test_what_is_no_metrics_page_is_refused(page: str) -> None:
    """With one kind of error, whatever it is: nothing else may be touched by it."""
    with pytest.raises(ValueError, match=r"."):
        parse(page)


def reading(**values: float) -> PoolStatistics:
    """A reading of a pool of ten, all in use unless said otherwise."""
    return PoolStatistics("pgxpool", **{"acquired": 10.0, "most": 10.0, **values})


def test_what_happened_is_the_rise_of_the_counters() -> None:
    """The honest latency is the rise of the waiting over the rise of those that waited."""
    before = reading(acquires=100, empty=10, waited=1.0, canceled=2)
    now = reading(acquires=105, empty=13, waited=4.0, canceled=3)
    assert change(before, now) == PoolChange(waits=3, waited=3.0, canceled=1, succeeded=True)


def test_a_restart_says_nothing() -> None:
    """Its counters begin anew: neither a fall nor a spike."""
    before = reading(acquires=100, empty=10, waited=1.0, canceled=2)
    assert change(before, reading(acquires=5, empty=12, waited=9.0, canceled=2)) == PoolChange()


def test_whether_any_acquire_succeeded() -> None:
    """By the acquires where the library counts them, else by those that waited and got one; unknown without either."""
    assert change(reading(acquires=1), reading(acquires=1)).succeeded is False
    assert change(reading(acquires=1), reading(acquires=2)).succeeded is True
    assert change(reading(empty=1), reading(empty=1)).succeeded is False
    assert change(reading(empty=1), reading(empty=2)).succeeded is True
    assert change(reading(), reading()).succeeded is None


def test_database_sql_counts_a_wait_when_it_begins() -> None:
    """So only the time that waits have taken tells that one has ended."""
    before = PoolStatistics("sql", empty=1, waited=1.0, acquired=10, most=10)
    assert change(before, PoolStatistics("sql", empty=5, waited=1.0, acquired=10, most=10)).succeeded is False
    assert change(before, PoolStatistics("sql", empty=5, waited=1.5, acquired=10, most=10)).succeeded is True


@pytest.mark.parametrize(
    ("acquired", "most", "full", "free"),
    [(10, 10, True, 0.0), (9, 10, False, 0.1), (0, 10, False, 1.0), (12, 10, True, 0.0), (5, 0, False, None)],
)
def test_full_is_when_every_connection_is_in_use(acquired: float, most: float, full: bool, free: float | None) -> None:
    """A pool without a limit (database/sql's default, 0) is never full."""
    found = reading(acquired=acquired, most=most)
    assert found.full is full
    assert found.free_ratio == (None if free is None else pytest.approx(free))
