"""Doctor judges rightly what it is shown, and reports it in three forms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import yaml

from config.source import render
from config.source.source import load as load_rules
from docs import doctor_page
from exporter.budget import Verdict
from exporter.budget.evidence import Blocking
from exporter.budget.state import CompleterState, Condition
from exporter.collectors.context import Target
from exporter.collectors.jobs import JOBS, OLDEST
from exporter.collectors.river import PAUSED, WORKERS
from exporter.collectors.storage import required
from exporter.config import load
from exporter.doctor import (
    alerts,
    completer,
    configuration,
    connection,
    locks,
    network,
    plan,
    pool,
    refusals,
    report,
    river,
    settings,
    storage,
    table,
)
from exporter.doctor.conclusion import Conclusion, _conclude, leading
from exporter.doctor.context import Commits, DoctorContext, Observed, observing
from exporter.doctor.finding import EXIT_CODES, Finding, worst
from exporter.doctor.remedy import Backend, Ending, Sessions, ending, rivers_logins
from exporter.doctor.report import Examination
from exporter.doctor.run import checks
from exporter.humanize import percentile, seconds, share, size
from exporter.metrics.values import Values
from exporter.postgres.sessions import Unreachable

ROOT = Path(__file__).parents[2]


def doctor(**settings: str) -> DoctorContext:
    """A doctor of that configuration, who has not been looked at."""
    environment = {"RIVER_EXPORTER_DATABASE_URL": "postgres://river_exporter@127.0.0.1:1/app", **settings}
    return DoctorContext(observing(load(None, environment), environment), watched=8.0)


def a_table(**values: object) -> table.Table:
    """A healthy table of ten thousand rows but for what is given."""
    healthy = {
        "live": 10_000.0, "dead": 100.0, "threshold": 2050.0, "heap": 4e6, "indexes": 4e6, "vacuumed": 30.0,
        "scans": 5.0, "scanned": 50.0, "age": 1000.0, "vacuuming": False, "fillfactor": 100,
        "scale_factor": 0.2, "autovacuum": True, "launcher": True, "hot": 0.0,
    }  # fmt: skip
    return table.Table(**{**healthy, **values})  # type: ignore[arg-type]


def blocked(seconds: float, pid: int = 7, blocker_pid: int = 9, blocker: str = "idle_in_transaction") -> Blocking:
    """A completing session that waits behind another one."""
    return Blocking(
        pid, "JobSetStateIfRunningMany", seconds, "transactionid/ShareLock", blocker_pid, blocker, "psql",
        "idle in transaction" if blocker_pid else "", 38.0, 1,
    )  # fmt: skip


def test_check_names_are_unique_and_every_group_has_some() -> None:
    """Runbooks refer to checks by name, so no name stands for two things."""
    names = [check.name for _, group in checks() for check in group]
    assert len(names) == len(set(names)) > 30
    assert all(group for _, group in checks())


def test_documentation_has_every_check() -> None:
    """`make generate` was run after the last change."""
    assert (ROOT / "docs" / "doctor.md").read_text() == doctor_page.page()


def test_exit_code_follows_the_worst_finding() -> None:
    """Notes are no trouble, warnings exit with 1, problems with 2."""
    ok, note = locks.LOCKS.ok("fine"), locks.LOCKS.note("so")
    warning, problem = locks.LOCKS.warning("hm", remedy="x"), locks.LOCKS.problem("no", remedy="x")
    assert [EXIT_CODES[worst(each)] for each in ([], [ok, note], [problem, ok, warning], [note, warning])] == [
        0,
        0,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (0.00085, "850 µs"),
        (0.0123, "12.3 ms"),
        (4.2, "4.2 s"),
        (600, "10 min"),
        (9000, "2.5 h"),
        (3e5, "3.47 d"),
    ],
)
def test_times_are_said_as_a_person_would(value: float, text: str) -> None:
    """Two or three digits and the unit that fits."""
    assert seconds(value) == text


def test_shares_sizes_and_percentiles_are_said_as_a_person_would() -> None:
    """Also the very small and the very large."""
    assert [share(0.00001), share(0.423), share(2.5)] == ["less than 0.1 %", "42.3 %", "250 %"]
    assert [size(512), size(8192), size(3.5 * 2**30)] == ["512 B", "8 kB", "3.5 GB".replace("3.5", "3.5")]
    assert percentile([5, 1, 2, 3, 4], 0.5) == 3
    assert percentile([1], 0.99) == 1


def test_budget_names_the_cause_and_its_seconds() -> None:
    """The thresholds are those of the configuration; no share is told above all of the timeout."""
    verdict = Verdict({"pool": 0.0, "lock": 4.2}, 0.42, "lock", 4.2, {"lock": "sessions", "pool": "pgxpool"})
    finding = completer.judge_budget(verdict, doctor(), trouble=False)
    assert finding.status == "warning"
    assert "42 %" in finding.summary
    assert "lock: 4.2 s" in finding.summary
    assert finding.evidence == ("lock: 4.2 s, by sessions",)
    strict = doctor(RIVER_EXPORTER_THRESHOLDS_WARNING="0.2", RIVER_EXPORTER_THRESHOLDS_CRITICAL="0.4")
    assert completer.judge_budget(verdict, strict, trouble=False).status == "problem"
    assert (
        "used 100 % of its 10 s"
        in completer.judge_budget(replace(verdict, ratio=1.51), doctor(), trouble=False).summary
    )
    assert not completer.judge_budget(None, doctor(), trouble=False).examined


def condition(state: CompleterState, cause: str | None = None, resumed: float | None = None) -> Condition:
    """A state of completions since one moment."""
    return Condition(state, cause, 0.0, None, resumed, "lock" if resumed is not None else None)


def test_budget_without_an_attempt_is_not_called_ok_in_trouble() -> None:
    """Where no attempt is made there is nothing to measure."""
    verdict = Verdict({"lock": 0.03}, 0.003, None, 0.0, {"lock": "sessions"})
    found = completer.judge_budget(verdict, doctor(), trouble=True)
    assert (found.status, found.examined) == ("note", False)
    assert completer.judge_budget(verdict, doctor(), trouble=False).status == "ok"


def test_completions_that_are_due_go_before_those_that_came_in_time() -> None:
    """Completions that came in time say nothing of the one that does not come."""
    late = completer.Late(500, 0.25, 0.1, 0.01, 4.0, 20, 1e9, 0)
    assert completer.judge_completions(late, doctor(), lost=False).status == "ok"
    assert completer.judge_completions(late, doctor(), lost=True).status == "problem"
    was = replace(late, lag=11.0)
    assert completer.judge_completions(was, doctor(), lost=False).status == "problem"
    assert completer.judge_completions(was, doctor(), lost=False, over=True).status == "warning"


@pytest.mark.parametrize(
    ("commits", "users", "stuck", "lost"),
    [
        (Commits(False, 30.0, 175, overdue=20), {"app"}, 0.0, True),
        (Commits(False, 30.0, 175, overdue=1), {"app"}, 0.0, False),  # may be a job that takes long
        (Commits(True, 0.1, 175, overdue=20), {"app"}, 0.0, False),
        (Commits(False, 30.0, 175, overdue=20), set(), 0.0, False),  # River is not there: nothing is due from it
        (Commits(False, 30.0, 6), {"app"}, 9.0, True),
        (Commits(False, 30.0, 0), {"app"}, 9.0, False),
    ],
)
def test_completions_are_lost_also_where_doctor_came_too_late_to_see_it_begin(
    commits: Commits, users: set[str], stuck: float, *, lost: bool
) -> None:
    """By jobs that outlasted their kind, or a statement of River's that hangs, while none is committed."""
    asked = doctor()
    asked.observed["public"] = Observed(condition=condition(CompleterState.OK), users=users, stuck=stuck)
    asked.commits = {"public": commits}
    assert asked.lost("public") is lost


def test_late_completions_are_graded_and_a_clock_ahead_is_told() -> None:
    """A negative lag is the clocks' difference."""
    finding = completer.judge_completions(completer.Late(9, 3.0, 0.1, -2.0, 0.1, 20, 1e9, 0), doctor(), lost=False)
    assert finding.status == "warning"
    assert any("ahead of the database's by 2 s" in line for line in finding.evidence)
    none = completer.Late(0, None, None, None, None, 0, None, 0)
    assert completer.judge_completions(none, doctor(), lost=False).status == "note"


@pytest.mark.parametrize(
    ("state", "commits", "told", "words"),
    [
        ("ok", Commits(True, 0.1, 20), "ok", "completions are committed; the newest completed job finished 100 ms ago"),
        ("ok", Commits(False, 33.0, 20), "unknown", "no completion was committed in 8 s; the newest"),
        ("ok", Commits(False, 3600.0, 0), "ok", "nothing is due"),
        ("unknown", Commits(False, None, 3), "unknown", "no completed job is there, 3 jobs running"),
        ("slow", Commits(True, 0.1, 20), "slow", "attempts to write completions are slow"),
        ("stalled", Commits(False, 33.0, 175), "stalled", "no completion is committed although one is due; the newest"),
        (
            "failing",
            Commits(False, 100.0, 4995),
            "failing",
            "no completion is committed, attempts time out or are refused",
        ),
        (None, Commits(True, 0.1, 20), "unknown", "could not be observed"),
        ("ok", None, "unknown", "completed jobs could not be read"),
    ],
)
def test_first_sentence_is_ok_only_with_a_completion_of_now_or_nothing_due(
    state: str | None, commits: Commits | None, told: str, words: str
) -> None:
    """Doctor looks for seconds: what it did not see is unknown."""
    asked = doctor()
    asked.context.target = Target(schemas=("public",), capabilities={"pg_monitor": True})
    asked.observed["public"] = Observed(condition=condition(CompleterState(state)) if state else None)
    asked.commits = {"public": commits} if commits else {}
    asked.watched = 8.0
    found = _conclude(asked, "public", [])
    assert (found.state, words in found.sentence) == (told, True), found
    assert found.sentence.startswith(f"{told}: ")
    assert found.unconfirmed is (told == "unknown")  # each of these has jobs running, or may have
    asked.context.target = Target(schemas=("public",))
    assert _conclude(asked, "public", []).state == "unknown"


def test_cause_of_what_stays_away_is_what_a_check_shows_else_unknown() -> None:
    """No attempt shows one where none is made."""
    asked = doctor()
    asked.context.target = Target(schemas=("public",), capabilities={"pg_monitor": True})
    asked.observed["public"] = Observed(condition=condition(CompleterState.STALLED, "unknown"))
    asked.commits = {"public": Commits(False, 33.0, 20)}
    gone = storage.STANDBY.problem("gone", remedy="start it", sql="y;")
    for findings, cause in (([gone], "storage"), ([pool.SIZE.warning("small", remedy="x")], "unknown")):
        found = _conclude(asked, "public", findings)
        assert (found.cause, f"cause {cause}" in found.sentence) == (cause, True)


def test_what_was_and_is_over_is_told_as_that() -> None:
    """After the fault the state is ok, and the sentence says since when and what was before."""
    asked = doctor()
    asked.context.target = Target(schemas=("public",), capabilities={"pg_monitor": True})
    asked.observed["public"] = Observed(condition=condition(CompleterState.OK, None, asked.context.clock() - 12))
    asked.commits = {"public": Commits(True, 0.1, 20)}
    assert "ok: completions resumed 12 s ago (cause lock)" in _conclude(asked, "public", []).sentence
    asked.observed["public"].verdict = Verdict({"lock": 15.0}, 1.5, "lock", 0.0, {})
    assert ", the worst attempt before took 10 s (cause lock)" in _conclude(asked, "public", []).sentence


def test_statement_history_prefers_what_happened_while_doctor_looked() -> None:
    """A month of good statements does not hide a minute of bad ones."""
    before = completer.Statements(1_000_000, 1000.0, 0.2, 5e6, 1e8)
    after = completer.Statements(1_000_002, 1008.0, 4.0, 5e6 + 10, 1e8 + 100_000)
    now = after.since(before)
    finding = completer.judge_history(after, now, doctor(), known=True)
    assert (now.calls, now.total, now.rows) == (2, 8.0, 10)
    assert finding.status == "problem"
    assert completer.judge_history(before, before.since(before), doctor(), known=True).status == "ok"
    assert completer.Statements(5).since(before) == completer.Statements()


def test_many_blocks_a_row_are_a_bad_plan_even_when_fast() -> None:
    """All of it is in memory until it is not."""
    finding = completer.judge_history(
        completer.Statements(10, 0.1, 0.02, 100, 50_000), completer.Statements(), doctor(), known=True
    )
    assert finding.status == "warning"
    assert "500 blocks a row" in finding.summary


def a_backend(pid: int = 9, **values: object) -> Backend:
    """A session of a person's, idle in a transaction, but for what is given."""
    usual = {
        "usename": "bob", "application": "psql", "address": "10.0.0.9", "backend_type": "client backend",
        "state": "idle in transaction", "transaction": 90.0, "idle": 80.0, "query": "update t set secret = 'x'",
    }  # fmt: skip
    return Backend(pid, **{**usual, **values})  # type: ignore[arg-type]


RIVERS = frozenset({("app", "", "10.0.0.1")})


def sessions(*backends: Backend) -> Sessions:
    """Those sessions, beside a River that logs in as app from 10.0.0.1."""
    return Sessions({each.pid: each for each in backends}, RIVERS)


def test_blocker_is_named_with_the_statement_that_ends_it() -> None:
    """One finding for each root, whoever waits behind it; its query only when it is asked for."""
    blocking, there = [blocked(4.2), blocked(1.0, pid=8)], sessions(a_backend())
    (finding,) = locks.judge_blocking(blocking, [], there, 3, 5, show_queries=True)
    assert finding.status == "problem"
    assert "4.2 s behind pid 9, psql, user bob at 10.0.0.9, idle in transaction for 38 s" in finding.summary
    assert finding.evidence[-1] == "last statement of pid 9: update t set secret = 'x'"
    assert len(finding.evidence) == 3
    assert finding.sql == "SELECT pg_terminate_backend(9);"
    assert "rolls its transaction back" in finding.remedy
    (hidden,) = locks.judge_blocking(blocking, [], there, 3, 5, show_queries=False)
    assert "secret" not in str(hidden)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"usename": "app", "application": "", "address": "10.0.0.1"}, "a session of River's own program"),
        ({"application": "river-exporter"}, "restart that exporter"),
        ({"application": "river-exporter doctor"}, "restart that exporter"),
        ({"backend_type": "walsender", "state": "active"}, "a replica reads there"),
        (
            {"backend_type": "autovacuum worker", "query": "autovacuum: VACUUM t (to prevent wraparound)"},
            "keeps the table from wraparound",
        ),
        ({"backend_type": "autovacuum worker", "query": "autovacuum: VACUUM t"}, "gives way"),
        ({"backend_type": "logical replication worker"}, "let it finish"),
    ],
)
@pytest.mark.parametrize("state", ["active", "idle in transaction"])
def test_no_statement_ends_a_session_of_rivers_the_exporters_or_the_servers(
    values: dict[str, object], words: str, state: str
) -> None:
    """The remedy is a step in words, wherever such a session is named."""
    there = sessions(a_backend(9, **{"state": state, **values}))
    found = [
        *locks.judge_blocking([blocked(4.2)], [], there, 3, 5, show_queries=False),
        *locks.judge_holders([locks.Holder(9, 90.0, 80.0)], there, show_queries=False),
        table.judge_horizon([table.Holder("session", "9 (x)", 4000.0, 900, 9)], there),
        table.judge_dead(
            a_table(dead=300_000), [table.Holder("session", "9 (x)", 4000.0, 900, 9)], there, "public"
        ),
        configuration.judge_elected(
            configuration.LockHolder("public", 9, "other", "10.0.0.1", 120.0, 1.0), ending(there, 9)
        ),
    ]  # fmt: skip
    assert len(found) == 5
    assert all(words in each.remedy for each in found)
    assert "pg_" not in "".join(each.sql for each in found)


def test_an_active_statement_is_cancelled_and_one_that_is_gone_needs_nothing() -> None:
    """To cancel is the lesser harm; a pid without a session may be another's tomorrow."""
    assert ending(sessions(a_backend(state="active")), 9).sql == "SELECT pg_cancel_backend(9);"
    assert ending(sessions(), 9) == Ending("nothing: the session has ended since")


def test_rivers_logins_are_those_that_run_its_statements_or_are_configured() -> None:
    """The exporter's own sessions are none, whatever their statements look like."""
    completing = "-- name: JobSetStateIfRunningMany :many\nUPDATE river_job SET state = 'completed'"
    found = rivers_logins(
        [
            a_backend(1, usename="app", application="", query=completing),
            a_backend(2, usename="app", application="river-exporter", query=completing),
            a_backend(3, application="worker-7"),
            a_backend(4),
        ],
        doctor(RIVER_EXPORTER_RIVER_SESSIONS_APPLICATION_NAME="^worker-"),
    )
    assert found == {("app", "", "10.0.0.9"), ("bob", "worker-7", "10.0.0.9")}


def test_prepared_transaction_that_blocks_is_rolled_back_by_its_quoted_name() -> None:
    """It has no pid; its name may hold a quotation mark. Another's is never rolled back for it."""
    prepared = [locks.Prepared("other", 5, rivers=False), locks.Prepared("it's", 5, rivers=True)]
    waiting = [blocked(4, blocker_pid=0, blocker="prepared_transaction")]
    (finding,) = locks.judge_blocking(waiting, prepared, sessions(), 3, 5, show_queries=False)
    assert finding.sql == "ROLLBACK PREPARED 'it''s';"
    (unknown,) = locks.judge_blocking(waiting, prepared[:1], sessions(), 3, 5, show_queries=False)
    assert unknown.sql == ""
    assert [each.status for each in locks.judge_prepared(prepared)] == ["ok", "problem"]
    assert [each.status for each in locks.judge_prepared([locks.Prepared("left", 90, rivers=False)])] == ["warning"]


def test_statements_are_shown_only_when_asked_for() -> None:
    """They may hold data."""
    holder, there = locks.Holder(9, 90.0, 80.0), sessions(a_backend())
    (hidden,) = locks.judge_holders([holder], there, show_queries=False)
    (shown,) = locks.judge_holders([holder], there, show_queries=True)
    assert "secret" not in str(hidden)
    assert hidden.status == "problem"
    assert "secret" in str(shown)


@pytest.mark.parametrize(
    ("free", "waiting", "status"),
    [(0.5, 0, "ok"), (0.1, 0, "warning"), (0.5, 3, "warning"), (0.0, 3, "problem"), (0.0, 0, "warning")],
)
def test_pool_is_judged_by_free_connections_and_waits(free: float, waiting: float, status: str) -> None:
    """None free is a problem only when somebody waits."""
    found = pool.Pool("pgbouncer", 10, 10 * (1 - free), free, waiting, 0.0, 0)
    assert [each.status for each in pool.judge_free([found], (), "", 3)] == [status]


def test_pool_that_is_not_seen_is_noted_and_one_that_cannot_be_read_warned_of() -> None:
    """Not configured is no fault; configured and failing is."""
    assert [each.status for each in pool.judge_free([], (), "", 3)] == ["note"]
    assert [each.status for each in pool.judge_free([], ("http://x",), "no answer", 3)] == ["warning"]


def test_a_pool_without_a_limit_has_no_share() -> None:
    """Nor is any number of its connections `of 0`."""
    (found,) = pool.judge_free([pool.Pool("sql", None, 12, None, 0, 0.0, 0)], ("http://x",), "", 3)
    assert (found.status, found.summary) == ("ok", "sql: 12 connections in use, without a limit")


def test_pool_size_advice_is_in_numbers() -> None:
    """Both ways out are named, where the server has room for them."""
    finding = pool.judge_size(10, 20, "river.workers", room=97)
    assert finding.status == "warning"
    assert "pool_max_conns to 25" in finding.remedy
    assert "MaxWorkers to 5" in finding.remedy
    assert pool.judge_size(25, 20, "a peak", room=97).status == "ok"
    for unknown in (pool.judge_size(None, 20, "river.workers", room=97), pool.judge_size(10, None, "why", room=97)):
        assert (unknown.status, unknown.examined) == ("note", False)


@pytest.mark.parametrize(("room", "pooled"), [(97, False), (24, False), (0, False), (None, False), (None, True)])
def test_no_more_connections_are_advised_than_the_server_has(room: float | None, *, pooled: bool) -> None:
    """1,520 workers on a server of 97 connections is no reason to ask it for 1,525; a pooler may have them."""
    finding = pool.judge_size(10, 1520, "river.workers", room=room, pooled=pooled)
    assert ("pool_max_conns" in finding.remedy) == pooled
    assert "MaxWorkers to 5" in finding.remedy
    assert "max_connections" in pool.judge_size(4, 1520, "river.workers", room=room).remedy


def test_workers_are_not_taken_from_an_outage() -> None:
    """Jobs marked running while nothing completes are no workers; what is configured still counts."""
    stalled = doctor()
    stalled.context.target = Target(schemas=("public",))
    stalled.values = Values([WORKERS.sample(1520, "public")])
    for commits, state, workers in (
        (None, "ok", None), (Commits(False, 40.0, 1520), "ok", None), (Commits(True, 0.1, 20), "stalled", None),
        (Commits(True, 0.1, 20), "ok", 1520),
    ):  # fmt: skip
        stalled.observed["public"] = Observed(condition=condition(CompleterState(state)))
        stalled.commits = {"public": commits} if commits else {}
        assert pool._workers(stalled)[0] == workers
    assert pool._workers(doctor(RIVER_EXPORTER_RIVER_WORKERS="8")) == (8, "river.workers")


def test_room_on_the_server_is_what_others_leave_and_the_role_allows() -> None:
    """River's own connections are room."""
    assert pool.Connections(used=90, most=97, others=60, limit=97).room == 37
    assert pool.Connections(used=90, most=97, others=60, limit=20).room == 20
    assert pool.Connections(used=99, most=97, others=99, limit=97).room == 0


def test_connections_of_the_server_are_graded() -> None:
    """Before the last one is gone."""
    assert [pool.judge_connections(used, 100).status for used in (50, 85, 99)] == ["ok", "warning", "problem"]


def test_network_judges_failures_slowness_and_jitter() -> None:
    """Each has a finding of its own."""
    good = network.Tries([{"tcp": 0.001, "login": 0.01, "query": 0.001}] * 10, [0.001] * 50)
    assert {each.status for each in network.judge(good, 10, 3, 5, pooled=False)} == {"ok"}
    uneven = network.Tries(good.phases, [0.001] * 49 + [0.4])
    found = {each.check: each.status for each in network.judge(uneven, 10, 3, 5, pooled=False)}
    assert found["network-jitter"] == "warning"
    failed = network.Tries([], [], [("refused", "connection refused")])
    assert [(each.check, each.status) for each in network.judge(failed, 10, 3, 5, pooled=True)] == [
        ("network-connect", "problem")
    ]


def test_missing_index_is_a_problem_only_where_completing_needs_it() -> None:
    """The GIN indexes serve searches."""
    names = {"river_job_pkey", "river_job_kind", "river_job_prioritized_fetching_index", "river_job_unique_idx"}
    names |= {"river_job_state_and_finalized_at_index", "river_job_args_index", "river_job_metadata_index"}

    def judged(there: set[str]) -> list[str]:
        indexes = [table.Index(name, valid=True, size=8192, scans=1, primary=name.endswith("pkey")) for name in there]
        return [each.status for each in table.judge_indexes(indexes, "public")]

    assert judged(names) == ["ok"]
    assert judged(names - {"river_job_args_index"}) == ["note"]
    assert judged(names - {"river_job_pkey"}) == ["problem"]


def test_missing_index_is_made_again_without_blocking_writes() -> None:
    """The schema's name is quoted, whatever it is."""
    (finding,) = table.judge_indexes([], 'a"b')
    name, fetching = '"a""b"."river_job"', "(state, queue, priority, scheduled_at, id)"
    finished = "(state, finalized_at) WHERE finalized_at IS NOT NULL"
    assert finding.sql.splitlines() == [
        'CREATE UNIQUE INDEX CONCURRENTLY "river_job_pkey" ON "a""b"."river_job" (id);',
        'ALTER TABLE "a""b"."river_job" ADD CONSTRAINT "river_job_pkey" PRIMARY KEY USING INDEX "river_job_pkey";',
        f'CREATE INDEX CONCURRENTLY "river_job_prioritized_fetching_index" ON {name} {fetching};',
        f'CREATE INDEX CONCURRENTLY "river_job_state_and_finalized_at_index" ON {name} {finished};',
    ]


def test_invalid_index_is_named_with_the_statement_that_drops_it() -> None:
    """River leaves them when a REINDEX is cut short; the schema may need quotation marks."""
    index = table.Index("river_job_kind_ccnew", valid=False, size=8192, scans=0, primary=False)
    found = list(table.judge_indexes([index], "My Schema"))
    assert found[-1].sql == 'DROP INDEX CONCURRENTLY "My Schema"."river_job_kind_ccnew";'
    assert found[-1].status == "warning"


def test_dead_rows_are_judged_by_autovacuums_threshold_and_their_number() -> None:
    """A few hundred dead rows in a fresh table are nothing."""
    cases = [(1000, 50), (20_000, 2000), (300_000, 2000), (1_900_000, 1_000_000)]
    found = [
        table.judge_dead(a_table(dead=dead, threshold=limit), [], sessions(), "public").status for dead, limit in cases
    ]
    assert found == ["ok", "warning", "problem", "ok"]


def test_what_holds_vacuum_back_is_named_with_what_ends_it() -> None:
    """By kind of holder; a slot in use is never dropped."""
    session, there = table.Holder("session", "42 (psql)", 4000.0, 900, 42), sessions(a_backend(42))
    slot = table.Holder("slot", "it's", None, 100, active=False)
    finding = table.judge_horizon([slot, session], there)
    assert finding.status == "warning"
    assert finding.sql == "SELECT pg_terminate_backend(42);"
    assert table.judge_horizon([slot], there).status == "ok"
    assert table.judge_horizon([], there).status == "ok"
    assert table._end(slot, there).sql == "SELECT pg_drop_replication_slot('it''s');"
    assert table._end(replace(slot, active=True), there).sql == ""
    prepared = table.Holder("prepared transaction", "it's", 9.0, 100)
    assert table._end(prepared, there).sql == "ROLLBACK PREPARED 'it''s';"


def test_dead_rows_are_vacuumed_after_what_holds_them_is_ended() -> None:
    """A session that has just begun its report is not ended for it."""
    long = table.Holder("session", "42 (psql)", 400.0, 900, 42)
    vacuum = 'VACUUM (VERBOSE) "public"."river_job";'
    for holder, first in ((long, ["SELECT pg_terminate_backend(42);"]), (replace(long, seconds=4.0), [])):
        found = table.judge_dead(a_table(dead=300_000), [holder], sessions(a_backend(42)), "public")
        assert found.sql.splitlines() == [*first, vacuum]


def test_constraints_are_a_problem_only_while_nothing_completes() -> None:
    """A constraint that has been there for a year may have its reasons."""
    own = refusals.Refusal("c", "CHECK ((state <> 'completed'))", None)
    assert refusals.judge_constraints([], "public", completing=False).status == "ok"
    kept = refusals.judge_constraints([own], "public", completing=True)
    assert (kept.status, kept.sql) == ("note", "")
    refusing = refusals.judge_constraints([own], "we ird", completing=False)
    assert refusing.status == "problem"
    assert refusing.sql == 'ALTER TABLE "we ird"."river_job" DROP CONSTRAINT "c";'
    assert refusing.evidence == ("c: CHECK ((state <> 'completed'))",)


def test_rights_of_river_and_a_read_only_server_are_told_with_their_owner() -> None:
    """The user is quoted; what a role or a database has is reset, what the server has is set."""
    assert not refusals.judge_privileges([], [], "public").examined
    assert refusals.judge_privileges([], ["app"], "public").status == "ok"
    assert refusals.judge_privileges(['a"b'], ['a"b'], "x").sql == 'GRANT UPDATE ON "x"."river_job" TO "a""b";'
    assert refusals.judge_read_only([]).status == "ok"
    found = refusals.judge_read_only(["SYSTEM", 'ROLE "a b"'])
    assert found.status == "problem"
    assert found.sql.splitlines() == [
        "ALTER SYSTEM SET default_transaction_read_only = off;",
        "SELECT pg_reload_conf();",
        'ALTER ROLE "a b" RESET default_transaction_read_only;',
    ]


def test_triggers_scans_and_wraparound_are_judged() -> None:
    """An insert trigger does not run in completions; a scan of a small table is none."""
    insert = table.Trigger("notify", "notify", updates=False)
    update = table.Trigger("audit", "audit", updates=True)
    assert [table.judge_triggers(each, "public").status for each in ([insert], [insert, update])] == ["ok", "warning"]
    scanned = [a_table(scans=6.0, scanned=50.0 + rows) for rows in (100, 50_000)]
    assert [table.judge_scans(a_table(), after).status for after in scanned] == ["ok", "warning"]
    assert table.judge_scans(None, scanned[1]).status == "ok"
    ages = [a_table(age=part * 2**31) for part in (0.1, 0.5, 0.9)]
    assert [table.judge_wraparound(each, "public").status for each in ages] == ["ok", "warning", "problem"]


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ("", 0),
        ("a", 1),
        ("*", 1),
        ("a, b", 1),
        ("FIRST 2 (a, b, c)", 2),
        ("any 3 (*)", 3),
        ("2 (a, b)", 2),
        ('"2 (x"', 1),
    ],
)
def test_required_standbys_are_counted_as_postgresql_does(names: str, number: int) -> None:
    """Every spelling of synchronous_standby_names."""
    assert required(names) == number


def test_missing_standby_and_forced_checkpoints_are_told() -> None:
    """A commit that waits for nobody is fine."""
    gone = storage.Replication("s1", "on", 0, 3, None)
    assert storage.judge_standby(gone, 3).status == "problem"
    assert storage.judge_standby(storage.Replication("", "on", 0, 0, None), 3).status == "ok"
    assert storage.judge_standby(storage.Replication("s1", "on", 1, 0, 4.0), 3).status == "warning"
    quiet, storm = storage.Checkpoints(50, 3, 1, 1, 1024), storage.Checkpoints(50, 9, 1, 1, 16384)
    assert [storage.judge_checkpoints(quiet, each).status for each in (quiet, storm)] == ["ok", "warning"]
    assert storage.judge_checkpoints(None, storage.Checkpoints(1, 40, 1, 1, 1024)).status == "note"
    assert "max_wal_size = '32768MB'" in storage.judge_checkpoints(quiet, storm).sql


def test_settings_are_notes_with_sql_but_autovacuum_off_is_a_problem() -> None:
    """A healthy server with the defaults gets a clean bill."""
    off = {"track_commit_timestamp": "off", "log_lock_waits": "off", "idle_in_transaction_session_timeout": "0"}
    found = list(settings.judge_server(off))
    assert [each.status for each in found] == ["note"] * 3
    assert all(each.remedy for each in found)
    (idle,) = [each for each in settings.judge_server(off, ['my "app"']) if each.check == settings.IDLE.name]
    assert idle.sql == """ALTER ROLE "my ""app\""" SET idle_in_transaction_session_timeout = '60s';"""
    on = {"track_commit_timestamp": "on", "log_lock_waits": "on", "idle_in_transaction_session_timeout": "by role"}
    assert [each.status for each in settings.judge_server(on)] == ["ok"] * 3
    assert settings.judge_autovacuum(a_table(autovacuum=False), "public").sql.startswith("ALTER TABLE")
    assert settings.judge_autovacuum(a_table(launcher=False), "public").sql.startswith("ALTER SYSTEM")
    large = a_table(live=1e6)
    assert settings.judge_autovacuum(large, "public").status == "note"
    assert settings.judge_fillfactor(large, "public").status == "note"
    assert settings.judge_fillfactor(a_table(), "public").status == "ok"


def test_version_tells_what_becomes_of_a_batch_that_is_given_up() -> None:
    """Migration 7 came with 0.40."""
    assert river.judge_version(6).status == "note"
    assert "put back" in river.judge_version(7).summary


def test_leader_stuck_jobs_and_late_maintenance_are_judged() -> None:
    """A River that is stopped needs no leader."""
    assert [river.judge_leader(*each).status for each in ((1, 12, 5), (0, -9, 5), (0, None, 0))] == [
        "ok",
        "warning",
        "note",
    ]
    assert river.judge_stuck({"client_gone": 3, "too_long": 0}, completing=True).evidence == ("client gone: 3",)
    assert river.judge_stuck({"client_gone": 0}, completing=False).status == "ok"


def test_jobs_that_wait_for_their_completion_are_not_called_orphaned() -> None:
    """A River that is alive, with 375 jobs whose client seems gone: what an outage looks like."""
    finding = river.judge_stuck({"client_gone": 375}, completing=False)
    assert (finding.status, finding.examined) == ("note", False)
    assert "375" not in str(finding)


def test_a_pooler_in_the_databases_place_is_known_by_its_words() -> None:
    """What the exporter needs there is PostgreSQL itself."""
    words = "connection failed: FATAL:  unsupported startup parameter: options"
    found = connection.unreachable(doctor(), Unreachable("other", words))
    assert found.status == "problem"
    assert "database.url leads to PgBouncer" in found.remedy
    assert "PgBouncer" not in connection.unreachable(doctor(), Unreachable("other", "no idea")).remedy


def test_queues_that_age_are_named_oldest_first_unless_they_are_paused() -> None:
    """With who works them: without a running job it is nobody."""
    samples = [
        *(OLDEST.sample(age, "public", queue) for queue, age in (("a", 301), ("b", 900), ("c", 2000), ("d", 299))),
        JOBS.sample(5, "public", "a", "available"),
        JOBS.sample(2, "public", "a", "running"),
        JOBS.sample(1, "public", "b", "available"),
        PAUSED.sample(30, "public", "c"),
    ]
    (found,) = [each for each in river.judge(Values(samples), "public", completing=True) if each.check == "queue-age"]
    assert found.status == "warning"
    assert found.evidence == ("b: 15 min, 1 job available, 0 running", "a: 5.02 min, 5 jobs available, 2 running")
    fine = river.judge_age(Values([]), "public", {"a": 12.0})
    assert (fine.status, fine.summary) == ("ok", "the oldest available job has waited 12 s")


@pytest.mark.parametrize(
    ("pid", "application", "silent", "status", "words"),
    [
        (None, "", None, "note", "no exporter is elected"),
        (7, "river-exporter", 0.4, "ok", "river-exporter at 10.0.0.1, pid 7, is the elected exporter"),
        (7, "river-exporter", None, "ok", "is the elected exporter"),  # without the right to see it
        (7, "river-exporter", 61.0, "warning", "has not sent a query for 61 s"),
        (7, "psql", 0.4, "warning", "which is no exporter"),
    ],
)
def test_the_elected_exporter_is_told(
    pid: int | None, application: str, silent: float | None, status: str, words: str
) -> None:
    """And how to end another program's session that holds the lock; an exporter is restarted, not cut off."""
    holder = configuration.LockHolder("public", pid, application, "10.0.0.1", 120.0 if pid else None, silent)
    found = configuration.judge_elected(holder, ending(sessions(a_backend(7, application=application)), 7))
    assert (found.status, words in found.summary) == (status, True)
    assert ("pg_terminate_backend(7)" in found.sql) == (application == "psql")


def test_what_is_not_known_of_river_is_left_out() -> None:
    """Nothing is made up from missing samples."""
    assert [each.check for each in river.judge(Values([]), "public", completing=True)] == ["paused-queues"]


def test_configuration_notes_what_is_not_seen_and_warns_of_what_cannot_warn() -> None:
    """A timeout other than River's makes every number wrong."""
    assert {each.status for each in configuration.judge(doctor().config)} == {"note"}
    wrong = doctor(RIVER_EXPORTER_RIVER_TIMEOUT="30s", RIVER_EXPORTER_THRESHOLDS_CRITICAL="0.95").config
    assert [each.status for each in configuration.judge(wrong)].count("warning") == 2
    full = doctor(RIVER_EXPORTER_RIVER_METRICS_URLS="http://x/metrics", RIVER_EXPORTER_RIVER_WORKERS="8").config
    assert [each.status for each in configuration.judge(full)] == ["ok"]
    assert configuration.judge_collectors({"lag": "no answer"}, 8).status == "warning"


def test_what_the_server_refused_while_it_was_watched_is_a_finding() -> None:
    """With the SQL; what a provider does not offer is a note."""
    examined = doctor()
    with examined.context.refusals.optional("pg_stat_wal"):
        raise psycopg.errors.InsufficientPrivilege("permission denied for view pg_stat_wal")
    with examined.context.refusals.optional("pg_try_advisory_lock"):
        raise psycopg.errors.InsufficientPrivilege("permission denied for function pg_try_advisory_lock")
    found = {each.summary: (each.status, each.sql) for each in connection.refused(examined)}
    assert found == {
        "pg_stat_wal is not to be seen": ("note", "GRANT SELECT ON pg_catalog.pg_stat_wal TO river_exporter;"),
        "pg_try_advisory_lock is not to be seen": (
            "warning", "GRANT EXECUTE ON FUNCTION pg_catalog.pg_try_advisory_lock(int, int) TO river_exporter;",
        ),
    }  # fmt: skip


def test_rights_that_are_missing_are_graded_by_what_they_cost() -> None:
    """A standby, no River and no rights each have a finding."""
    target = Target(
        schemas=("public",),
        version=180006,
        capabilities={"server_version": True, "pg_monitor": False, "river_leader": False, "pg_stat_statements": False},
    )
    found = [(each.check, each.status) for each in connection.judge(target)]
    assert found == [
        ("server", "ok"), ("river-schema", "ok"), ("rights", "problem"), ("rights", "note"), ("rights", "warning"),
    ]  # fmt: skip
    nothing = {each.check: each.status for each in connection.judge(Target(standby=True, version=150000))}
    assert nothing == {"server": "problem", "river-schema": "problem", "rights": "ok"}


@pytest.mark.parametrize(
    ("text", "words", "sql"),
    [
        ('GRANT pg_monitor TO "a;b";', "", 'GRANT pg_monitor TO "a;b";'),
        (
            "add x to shared_preload_libraries, restart, then CREATE EXTENSION x; GRANT y TO z;",
            "add x to shared_preload_libraries, restart",
            "CREATE EXTENSION x;\nGRANT y TO z;",
        ),
        ("ALTER SYSTEM SET a = on; and restart PostgreSQL", "restart PostgreSQL", "ALTER SYSTEM SET a = on;"),
        ("upgrade PostgreSQL to 13 or later", "upgrade PostgreSQL to 13 or later", ""),
    ],
)
def test_a_fix_is_taken_apart_into_words_and_statements(text: str, words: str, sql: str) -> None:
    """The statements can be copied without the words."""
    assert connection.statements(text) == (words, sql)


def explained(node: dict[str, object], **document: object) -> plan.Plan:
    """What EXPLAIN says of an update with that node below."""
    root = {
        "Node Type": "ModifyTable",
        "Plans": [node],
        "Actual Rows": 5,
        "Shared Hit Blocks": 40,
        "Shared Read Blocks": 2,
    }
    return plan.read({"Plan": root, "Execution Time": 12.0, **document})


def scan(**values: object) -> dict[str, object]:
    """A node that reads river_job by its primary key."""
    good = {
        "Node Type": "Index Scan", "Relation Name": "river_job", "Index Name": "river_job_pkey", "Plan Rows": 1,
        "Actual Rows": 1, "Actual Loops": 5,
    }  # fmt: skip
    return {**good, **values}


def test_plan_by_primary_key_is_good() -> None:
    """Five rows, a few blocks."""
    finding = plan.judge(explained(scan()), "public")
    assert finding.status == "ok"
    assert "5 rows in 12 ms, 42 blocks" in finding.evidence


@pytest.mark.parametrize(
    ("node", "status", "words"),
    [
        (
            {"Node Type": "Seq Scan", "Index Name": "", "Actual Loops": 1, "Rows Removed by Filter": 5000},
            "warning",
            "scans",
        ),
        (
            {"Node Type": "Seq Scan", "Index Name": "", "Actual Loops": 1, "Rows Removed by Filter": 2e5},
            "problem",
            "scans",
        ),
        (
            {"Node Type": "Seq Scan", "Index Name": "", "Actual Loops": 1, "Rows Removed by Filter": 20},
            "ok",
            "scans the whole table, but looks at few: 21 rows",
        ),
        (
            {"Index Name": "river_job_kind", "Actual Loops": 1, "Rows Removed by Filter": 9000},
            "warning",
            "river_job_kind",
        ),
        (
            {"Index Name": "river_job_kind", "Actual Loops": 1, "Actual Rows": 5, "Rows Removed by Filter": 750},
            "warning",
            "river_job_kind, not by the primary key: 755 rows looked at for 5",
        ),
        (
            {"Index Name": "river_job_kind", "Actual Loops": 1, "Actual Rows": 755, "Plan Rows": 755},
            "warning",
            "755 rows looked at for 5",
        ),
        (
            {"Index Name": "river_job_kind", "Actual Loops": 1, "Rows Removed by Filter": 2e5},
            "problem",
            "river_job_kind",
        ),
        (
            {"Index Name": "river_job_kind", "Actual Loops": 1, "Actual Rows": 5, "Rows Removed by Filter": 30},
            "ok",
            "river_job_kind, not by the primary key, but looks at few: 35 rows",
        ),
        (
            {"Actual Loops": 1, "Actual Rows": 5, "Plan Rows": 5, "Rows Removed by Filter": 9000},
            "warning",
            "far more of river_job_pkey than its rows: 9,005 rows looked at for 5",
        ),
        ({"Plan Rows": 5000, "Actual Rows": 1}, "warning", "estimates are off"),
        ({"Plan Rows": 100, "Actual Rows": 1}, "warning", "estimates are off by 10 times: 500 for 5"),
        ({"Plan Rows": 15, "Actual Rows": 1}, "ok", "by their ids"),
        ({"Plan Rows": 0, "Actual Loops": 0, "Actual Rows": 0}, "ok", "by their ids"),
    ],
)
def test_bad_plans_are_told_by_what_they_read(node: dict[str, object], status: str, words: str) -> None:
    """A full scan, a wrong index, a wrong estimate; a scan of a tiny table is right."""
    finding = plan.judge(explained(scan(**node)), "public")
    assert finding.status == status
    assert words in finding.summary


@pytest.mark.parametrize("names", [("river_job_pkey",), ("river_job_pkey", "river_job_kind")])
def test_rows_rechecked_away_were_looked_at(names: tuple[str, ...]) -> None:
    """A bitmap that became lossy, by one index or by several, has whole blocks read for a few rows."""
    bitmaps: list[dict[str, object]] = [{"Node Type": "Bitmap Index Scan", "Index Name": name} for name in names]
    below = bitmaps if len(names) == 1 else [{"Node Type": "BitmapAnd", "Plans": bitmaps}]
    heap = {
        "Node Type": "Bitmap Heap Scan", "Relation Name": "river_job", "Plan Rows": 5, "Actual Rows": 5,
        "Actual Loops": 1, "Rows Removed by Index Recheck": 90_000, "Plans": below,
    }  # fmt: skip
    finding = plan.judge(explained(heap), "public")
    assert finding.status == "warning"
    assert "90,005 rows looked at for 5" in finding.summary
    assert ", ".join(names) in finding.summary


def test_primary_key_may_have_any_name() -> None:
    """What the catalog calls the primary key counts; without one, no index stands for it."""
    root = {"Node Type": "ModifyTable", "Plans": [scan(**{"Index Name": "jobs_pk"})], "Actual Rows": 5}
    document = {"Plan": root, "Execution Time": 12.0}
    assert plan.judge(plan.read(document, "jobs_pk"), "public").summary == "it finds its rows by their ids"
    assert "not by the primary key" in plan.judge(plan.read(document, ""), "public").summary
    whole = {"Plan": scan(**{"Node Type": "Seq Scan", "Index Name": ""}), "Execution Time": 12.0}
    assert "scans the whole table" in plan.judge(plan.read(whole, ""), "public").summary


def test_slow_trigger_shows_in_the_plan() -> None:
    """EXPLAIN gives a trigger's time by its name."""
    finding = plan.judge(explained(scan(), Triggers=[{"Trigger Name": "audit", "Time": 900.0}]), "public")
    assert finding.status == "warning"
    assert "audit" in finding.summary


def test_alerts_are_those_of_the_rules() -> None:
    """The names doctor looks for, and which of them page, are compared with the rules both ways."""
    groups = yaml.safe_load((ROOT / "config" / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"] for rule in rules} == alerts.NAMES
    assert {rule["alert"] for rule in rules if rule["labels"]["severity"] == "critical"} == alerts.CRITICAL


def test_thresholds_are_those_of_the_rules() -> None:
    """`make generate` was run after the last change of rules.yaml."""
    assert (ROOT / "exporter" / "doctor" / "rules.json").read_text() == render.doctor(load_rules())


def test_alerts_missing_or_broken_are_told() -> None:
    """A page that is not loaded is worse than a warning that is not."""
    every = [alerts.Rule(name, "critical", firing=False, trouble="") for name in alerts.NAMES]
    assert [each.status for each in alerts.judge(every)] == ["ok", "ok"]
    assert [each.status for each in alerts.judge([])] == ["problem", "ok"]
    without = [rule for rule in every if rule.name != "RiverPoolWaiting"]
    assert next(alerts.judge(without)).status == "warning"
    broken = [*every[1:], alerts.Rule(every[0].name, "critical", firing=True, trouble="parse error")]
    assert [each.status for each in alerts.judge(broken)] == ["problem", "note"]
    assert [alerts.judge_scraped(up).status for up in ([], [1.0, 0.0], [1.0])] == ["problem", "warning", "ok"]


FINDINGS = [
    Finding("connection", "ok", "connected"),
    Finding(
        "locks",
        "problem",
        "a *bad* <lock>",
        ("pid 9",),
        "it waits",
        "end it",
        "public",
        sql="SELECT pg_terminate_backend(9);",
    ),
    Finding("pool-size", "warning", "small", (), "none left", "set it", "jobs"),
]


LOCKED = Examination(
    (Conclusion("public", "stalled", "lock", "stalled: no completion for 4 s. Do: end it", FINDINGS[1]),),
    (*FINDINGS, table.HORIZON.not_examined("no right", remedy="see rights"), locks.LOCKS.not_examined("no right")),
    "PostgreSQL 18.6, 10.0.0.1:5432/app",
    "2026-11-28T11:30:00Z",
)


def test_text_report_begins_with_the_conclusion_and_the_finding_that_holds_the_remedy() -> None:
    """Then target, time and versions; what is ok is a number, unless it was asked for."""
    text = report.as_text(LOCKED, colour=False, verbose=False)
    lines = text.splitlines()
    assert lines[0] == "stalled: no completion for 4 s. Do: end it"
    assert re.fullmatch(
        r"river-exporter \S+ doctor, 2026-11-28T11:30:00Z: PostgreSQL 18.6, 10.0.0.1:5432/app", lines[1]
    )
    assert lines[3] == "problem  locks (public): a *bad* <lock>"
    assert "         do:  end it\n              SELECT pg_terminate_backend(9);" in text
    assert lines[-1] == "1 problem, 1 warning, 2 not examined, 1 ok (--verbose shows what is ok)"
    assert "connection: connected" not in text
    assert "connection: connected" in report.as_text(LOCKED, colour=False, verbose=True)
    assert "connection: connected" in report.as_text(
        replace(LOCKED, asked=frozenset({"connection"})), colour=False, verbose=False
    )
    assert "note     vacuum-horizon: not examined: no right" in text
    assert "\x1b" not in text
    assert "\x1b[31mproblem" in report.as_text(LOCKED, colour=True, verbose=False)


def test_finding_with_the_remedy_goes_before_a_worse_one() -> None:
    """The order of the others is that of their status."""
    led = replace(LOCKED, conclusions=(replace(LOCKED.conclusions[0], leading=FINDINGS[2]),))
    assert [each.check for each in led.ordered[:3]] == ["pool-size", "locks", "vacuum-horizon"]


def test_json_report_has_every_field() -> None:
    """Programs read it."""
    document = json.loads(report.as_json(LOCKED))
    assert document["status"] == "problem"
    assert document["conclusions"] == [
        {
            "schema": "public", "state": "stalled", "cause": "lock", "check": "locks",
            "sentence": "stalled: no completion for 4 s. Do: end it",
        }
    ]  # fmt: skip
    assert document["findings"][0]["sql"] == "SELECT pg_terminate_backend(9);"
    assert [each["check"] for each in document["findings"][:2]] == ["locks", "pool-size"]
    assert [each["examined"] for each in document["findings"]].count(False) == 2


def test_markdown_report_escapes_what_was_found() -> None:
    """Names come from users; a remedy that is SQL stands in a block of SQL."""
    text = report.as_markdown(LOCKED)
    assert text.splitlines()[2] == "**stalled: no completion for 4 s. Do: end it**"
    assert r"a \*bad\* \<lock\>" in text
    assert "```sql\nSELECT pg_terminate_backend(9);\n```" in text
    assert "- **ok** `connection`: connected" in text


def test_the_leading_finding_is_the_causes_and_never_a_symptom_beside_a_reason() -> None:
    """A worse finding of another kind, or of another River, does not hold the remedy."""
    late = completer.COMPLETIONS.problem("late", remedy="see budget")
    small, gone = pool.SIZE.warning("small", remedy="set it"), storage.STANDBY.problem("gone", remedy="x", sql="y;")
    elsewhere = replace(locks.LOCKS.problem("held", remedy="end it", sql="z;"), schema="jobs")
    found = [late, small, elsewhere, gone]
    assert leading(found, "public", "pool") is small
    assert leading(found, "public", "lock") is gone
    assert leading(found, "jobs", "lock") is elsewhere
    assert leading(found, "public", None) is gone
    assert leading([late], "public", None) is late
    assert leading([], "public", "lock") is None


def test_unknown_does_not_end_with_the_code_of_ok() -> None:
    """Where jobs run and no completion was seen, even if nothing wrong was found."""
    unknown = Conclusion("public", "unknown", None, "unknown: no completion was committed in 8 s.", unconfirmed=True)
    fine = replace(LOCKED, findings=(FINDINGS[0],), conclusions=(unknown,))
    assert fine.exit_code == 1
    assert replace(fine, conclusions=(replace(unknown, unconfirmed=False),)).exit_code == 0
