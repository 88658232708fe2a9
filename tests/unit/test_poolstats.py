"""Pool statistics: every library's names for one meaning, pools kept apart, over time and restarts."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, get_args

import pytest

from exporter.collectors.pools.statistics import MAX_POOLS, MAX_SERIES, PoolChange, PoolStatistics, change, parse
from exporter.collectors.pools.vocabularies import (
    BY_SERIES,
    VOCABULARIES,
    cmackenzie1,
    database_sql,
    hikaricp,
    ibm,
    opentelemetry,
    sqlx,
)
from exporter.collectors.pools.vocabulary import Field, Source, Vocabulary

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

OTEL = """# TYPE db_client_connection_count gauge
db_client_connection_count{db_client_connection_pool_name="app",db_client_connection_state="used"} 7
db_client_connection_count{db_client_connection_pool_name="app",db_client_connection_state="idle"} 2
db_client_connection_max{db_client_connection_pool_name="app"} 10
db_client_connection_idle_max{db_client_connection_pool_name="app"} 10
db_client_connection_pending_requests{db_client_connection_pool_name="app"} 4
db_client_connection_timeouts_total{db_client_connection_pool_name="app"} 3
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="app",le="+Inf"} 1000
db_client_connection_wait_time_seconds_sum{db_client_connection_pool_name="app"} 2.5
db_client_connection_wait_time_seconds_count{db_client_connection_pool_name="app"} 1000
"""

OTEL_SHORT = OTEL.replace("db_client_connection_state", "state").replace("db_client_connection_pool_name", "pool_name")

OTEL_OLD = """db_client_connections_usage{pool_name="app",state="used"} 7
db_client_connections_usage{pool_name="app",state="idle"} 2
db_client_connections_usage{pool_name="app",state="closing"} 1
db_client_connections_max{pool_name="app"} 10
db_client_connections_pending_requests{pool_name="app"} 4
db_client_connections_timeouts_total{pool_name="app"} 3
db_client_connections_wait_time_milliseconds_sum{pool_name="app"} 2500
db_client_connections_wait_time_milliseconds_count{pool_name="app"} 1000
"""

OTEL_WITHOUT_UNITS = OTEL.replace("_seconds", "")
OTEL_OLD_WITHOUT_UNITS = OTEL_OLD.replace("_milliseconds", "")

HIKARICP = """# TYPE hikaricp_connections gauge
hikaricp_connections{pool="app"} 9.0
hikaricp_connections_active{pool="app"} 7.0
hikaricp_connections_idle{pool="app"} 2.0
hikaricp_connections_max{pool="app"} 10.0
hikaricp_connections_min{pool="app"} 10.0
hikaricp_connections_pending{pool="app"} 4.0
hikaricp_connections_timeout_total{pool="app"} 3.0
hikaricp_connections_acquire_seconds_count{pool="app"} 1000
hikaricp_connections_acquire_seconds_sum{pool="app"} 2.5
hikaricp_connections_acquire_seconds_max{pool="app"} 0.9
"""

PG_POOL = """pg_pool_connections_created_total{host="db:5432",database="app"} 9
pg_pool_size{host="db:5432",database="app"} 9
pg_pool_max{host="db:5432",database="app"} 10
pg_pool_active_connections{host="db:5432",database="app"} 7
pg_pool_waiting_connections{host="db:5432",database="app"} 4
pg_pool_idle_connections{host="db:5432",database="app"} 2
"""

ACTIVE_RECORD = """ruby_active_record_connection_pool_connections{pid="7",pool_name="primary"} 9
ruby_active_record_connection_pool_busy{pid="7",pool_name="primary"} 7
ruby_active_record_connection_pool_dead{pid="7",pool_name="primary"} 0
ruby_active_record_connection_pool_idle{pid="7",pool_name="primary"} 2
ruby_active_record_connection_pool_waiting{pid="7",pool_name="primary"} 4
ruby_active_record_connection_pool_size{pid="7",pool_name="primary"} 10
"""

SQLX = """sqlx_pool_connections 9
sqlx_pool_idle_connections 2
sqlx_pool_max_connections 10
"""

PAGES = (
    IBM,
    OTELPGX,
    CMACKENZIE,
    SQL,
    OTEL,
    OTEL_OLD,
    OTEL_WITHOUT_UNITS,
    OTEL_OLD_WITHOUT_UNITS,
    HIKARICP,
    PG_POOL,
    ACTIVE_RECORD,
    SQLX,
)

NOT_READ = {"pgxpool_constructing_connections"}
"""The newer spelling of one of otelpgx's, which means the same."""

COMMON = {"acquired": 7, "idle": 2, "limit": 10}
PGXPOOL = {"total": 10, "empty": 40, "canceled": 3, "constructing": 1}


def values(found: PoolStatistics) -> dict[str, float]:
    """Return the numbers that a pool's library gives."""
    numbers = {each.name: getattr(found, each.name) for each in fields(found)}
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


@pytest.mark.parametrize(
    ("page", "source", "waits", "numbers"),
    [
        (IBM, "pgxpool", True, PGXPOOL | {"acquires": 1000, "waited": 2.5}),
        (OTELPGX, "pgxpool", True, PGXPOOL | {"acquires": 1000, "waited": 2.5}),
        (CMACKENZIE, "pgxpool", True, PGXPOOL),
        (SQL, "sql", True, {"total": 9, "empty": 40, "waited": 2.5}),
        (OTEL, "otel", True, {"pending": 4, "acquires": 1000, "waited": 2.5, "canceled": 3}),
        (OTEL_SHORT, "otel", True, {"pending": 4, "acquires": 1000, "waited": 2.5, "canceled": 3}),
        (OTEL_OLD, "otel", True, {"pending": 4, "acquires": 1000, "waited": 2.5, "canceled": 3}),
        (OTEL_WITHOUT_UNITS, "otel", True, {"pending": 4, "acquires": 1000, "waited": 2.5, "canceled": 3}),
        (OTEL_OLD_WITHOUT_UNITS, "otel", True, {"pending": 4, "acquires": 1000, "waited": 2.5, "canceled": 3}),
        (HIKARICP, "hikaricp", True, {"total": 9, "pending": 4, "acquires": 1000, "waited": 2.5, "canceled": 3}),
        (PG_POOL, "pg_pool", False, {"total": 9, "pending": 4}),
        (ACTIVE_RECORD, "activerecord", False, {"total": 9, "pending": 4}),
        (SQLX, "sqlx", False, {"total": 9}),
    ],
)  # fmt: skip
def test_each_vocabulary_means_the_same(page: str, source: str, waits: bool, numbers: dict[str, float]) -> None:
    """Seconds are seconds, whatever the unit; what a library does not report is unknown, not zero."""
    (found,) = parse(NOISE + page)
    assert found.vocabulary.source == source
    assert values(found) == pytest.approx(COMMON | numbers)
    assert found.free_ratio == 0.3  # to the last bit: an alert says `<= 0.3`
    assert not found.full
    assert found.waits_known is waits


def test_every_name_is_on_a_page_above_and_belongs_to_one_vocabulary() -> None:
    """No name is known that no page has, none twice, and every field is one of a pool's."""
    seen = set(re.findall(r"^\w+", "".join(PAGES), re.MULTILINE))
    assert set(BY_SERIES) - seen == NOT_READ
    assert sum(len(each.series) + len(each.states) for each in VOCABULARIES) == len(BY_SERIES)
    assert set(get_args(Field)) < {each.name for each in fields(PoolStatistics)}


def test_the_sources_are_the_declared_ones() -> None:
    """The label is a closed set."""
    assert {each.source for each in VOCABULARIES} == set(get_args(Source))


def test_pools_on_one_page_are_separate() -> None:
    """By all their labels but the state, and by library; labels pick one."""
    web = IBM.replace("app", "web").replace('_conns{db_name="web"} 10', '_conns{db_name="web"} 50')
    found = parse(IBM + web + SQL + OTEL)
    assert [(each.vocabulary.source, each.limit, each.waited) for each in found] == [
        ("pgxpool", 10, 2.5), ("pgxpool", 50, 2.5), ("sql", 10, 2.5), ("otel", 10, 2.5),
    ]  # fmt: skip
    (picked,) = parse(IBM + web + OTEL, {"db_name": "web"})
    assert (picked.labels, picked.limit) == ((("db_name", "web"),), 50)
    assert parse(IBM + web, {"db_name": "none"}) == []
    assert parse(IBM, {"db_name": "app", "more": "x"}) == []


@pytest.mark.parametrize(
    ("page", "acquired"),
    [
        (SQL.replace('max_open_connections{db_name="app"} 10', 'max_open_connections{db_name="app"} 0'), 7),
        (OTEL.replace("db_client_connection_max", "x"), 7),
        ("pgxpool_acquired_conns 3\n", 3),
    ],
)  # fmt: skip
def test_a_pool_without_a_limit_has_no_free_share(page: str, acquired: float) -> None:
    """As database/sql writes it, and where an instrumentation gives no maximum."""
    (found,) = parse(page)
    assert (found.acquired, found.limit, found.free_ratio, found.full) == (acquired, None, None, False)


@pytest.mark.parametrize(
    "page",
    [NOISE, "pgxpool_max_conns 3\n", SQL.replace("in_use", "x").replace("idle", "y"), "# TYPE x gauge\n", SQLX[:25]],
)
def test_a_page_without_a_pool_has_none(page: str) -> None:
    """Other metrics, or nothing of how many are in use."""
    assert parse(page) == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("".join(f'pgxpool_acquired_conns{{pool="{each}"}} 1\n' for each in range(MAX_POOLS + 1)), "51 pools"),
        ('pgxpool_acquired_conns{pool="a"} 1\n' * (MAX_SERIES + 1), "2001 series"),
    ],
)
def test_what_a_page_costs_is_bounded(page: str, reason: str) -> None:
    """Whatever a server sends."""
    with pytest.raises(ValueError, match=f"^{reason}"):
        parse(page)


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


def reading(vocabulary: Vocabulary = ibm.VOCABULARY, **numbers: Any) -> PoolStatistics:
    """Return a reading of a pool of ten, all in use unless given otherwise."""
    return PoolStatistics(vocabulary, **{"acquired": 10.0, "limit": 10.0, **numbers})


def test_what_happened_is_the_rise_of_the_counters() -> None:
    """The honest latency is the rise of the waiting over the rise of those that waited."""
    before = reading(acquires=100, empty=10, waited=1.0, canceled=2)
    now = reading(acquires=105, empty=13, waited=4.0, canceled=3)
    assert change(before, now) == PoolChange(waits=3, acquires=3, waited=3.0, canceled=1, succeeded=True)


def test_a_restart_says_nothing() -> None:
    """Its counters begin at 0: neither a fall nor a spike."""
    before = reading(acquires=100, empty=10, waited=1.0, canceled=2)
    assert change(before, reading(acquires=5, empty=12, waited=9.0, canceled=2)) == PoolChange()


@pytest.mark.parametrize(
    ("vocabulary", "rises", "succeeded"),
    [
        (ibm.VOCABULARY, {"acquires": 0}, False),
        (ibm.VOCABULARY, {"acquires": 1}, True),
        (ibm.VOCABULARY, {"acquires": 1, "canceled": 1}, True),
        (ibm.VOCABULARY, {"empty": 0}, False),
        (cmackenzie1.VOCABULARY, {"empty": 1, "canceled": 1}, True),
        (database_sql.VOCABULARY, {"empty": 4, "waited": 0}, False),
        (database_sql.VOCABULARY, {"empty": 4, "waited": 0.5}, True),
        (hikaricp.VOCABULARY, {"acquires": 2, "waited": 60, "canceled": 2}, False),
        (hikaricp.VOCABULARY, {"acquires": 3, "waited": 61, "canceled": 2}, True),
        (opentelemetry.STABLE, {"acquires": 0, "canceled": 2}, False),
        (opentelemetry.STABLE, {"acquires": 1, "canceled": 2}, True),
        (opentelemetry.STABLE, {"acquires": 1}, True),
        (sqlx.VOCABULARY, {}, None),
        (ibm.VOCABULARY, {"canceled": 1}, None),
    ],
)
def test_whether_any_acquire_succeeded(vocabulary: Vocabulary, rises: dict[str, float], succeeded: bool | None) -> None:
    """By what the library counts at the right moment; timeouts that count as acquires are none; unknown without."""
    before = reading(vocabulary, **dict.fromkeys(rises, 5.0))
    now = reading(vocabulary, **{name: 5.0 + rise for name, rise in rises.items()})
    assert change(before, now).succeeded is succeeded


@pytest.mark.parametrize(
    ("acquired", "limit", "full", "free"),
    [(10, 10, True, 0.0), (9, 10, False, 0.1), (0, 10, False, 1.0), (12, 10, True, 0.0)],
)
def test_full_is_when_every_connection_is_in_use(acquired: float, limit: float, full: bool, free: float) -> None:
    """More in use than there may be, after a smaller maximum was set, is full as well."""
    found = reading(acquired=acquired, limit=limit)
    assert found.full is full
    assert found.free_ratio == pytest.approx(free)
