"""Attempts in the database: which statements are the completer's, what they waited for, and which were cut off."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from exporter.budget import CAUSES, Attempts, SessionRow, TimedOut, cause_of

BACKEND = (4711, 1700000000.0)


@pytest.mark.parametrize(
    ("state", "wait_event_type", "wait_event", "cause"),
    [
        ("active", "Lock", "transactionid", "lock"),  # rows locked by an idle transaction
        ("active", "Lock", "tuple", "lock"),  # a second waiter
        ("active", "Lock", "relation", "lock"),  # LOCK TABLE, ALTER behind an idle reader
        ("active", "IPC", "SyncRep", "storage"),  # a synchronous standby is missing
        ("active", "LWLock", "WALWrite", "storage"),
        ("active", "LWLock", "BufferContent", "storage"),
        ("active", "IPC", "BufferIo", "storage"),
        ("active", "LWLock", "WALWriteLock", "execution"),  # no name of any supported version
        ("active", "IO", "WALSync", "storage"),
        ("active", "IO", "WalSync", "storage"),  # 17 and later
        ("active", "IO", "DataFileRead", "storage"),
        ("active", None, None, "execution"),  # slow execution, bad plan
        ("active", "LWLock", "BufferMapping", "execution"),
        ("active", "LWLock", "LockManager", "execution"),
        ("active", "IPC", "ParallelFinish", "execution"),
        ("active", "Timeout", "PgSleep", "execution"),  # a slow trigger
        ("active", "Client", "ClientRead", "network"),
        ("active", "Client", "ClientWrite", "network"),
        ("idle in transaction", "Client", "ClientRead", "network"),
        ("idle in transaction (aborted)", "Client", "ClientRead", "network"),
    ],
)
def test_each_wait_event_speaks_for_one_cause(
    state: str, wait_event_type: str | None, wait_event: str | None, cause: str
) -> None:
    """Those measured on provoked faults, and their neighbours."""
    assert cause_of(state, wait_event_type, wait_event) == cause
    assert cause in CAUSES


def row(
    age: float,
    *,
    state: str = "active",
    wait: tuple[str, str] | None = None,
    start: float | None = 1000.0,
    statement: Literal["completing", "control", "other"] = "completing",
    wrapped: bool | None = False,
    offset: float = 0.0002,
    foreign: bool | None = None,
) -> SessionRow:
    """A session whose transaction is `age` seconds old and whose statement began `offset` seconds after it."""
    kind, event = wait or (None, None)
    return SessionRow(BACKEND, state, kind, event, start, statement, wrapped, age - offset, age, 0.0, foreign)


def idle(
    duration: float, since: float, statement: Literal["completing", "control", "other"] = "completing"
) -> SessionRow:
    """A session whose last statement took `duration` seconds and ended `since` seconds ago."""
    return SessionRow(BACKEND, "idle", "Client", "ClientRead", None, statement, False, duration + since, 0.0, since)


LOCK, SYNC = ("Lock", "transactionid"), ("IPC", "SyncRep")


def test_an_attempt_s_time_is_split_by_what_each_sample_saw() -> None:
    """The time since the sample before goes to the present wait; the parts add up to the age."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(0.4)])
    attempts.update(1.0, [row(1.4, wait=LOCK)])
    attempts.update(1.25, [row(1.65, wait=LOCK)])
    attempts.update(2.25, [row(2.65, wait=SYNC)])
    (attempt,) = attempts.running()
    assert attempt.seconds == pytest.approx({"execution": 0.4, "lock": 1.25, "storage": 1.0})
    assert sum(attempt.seconds.values()) == pytest.approx(attempt.age) == pytest.approx(2.65)
    assert attempt.leading() == "lock"


def test_the_oldest_attempt_is_the_worst() -> None:
    """Of several clients' completers."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(1.0), replace(row(3.0, wait=LOCK), backend=(2, 1.0))])
    assert (oldest := attempts.oldest()) is not None
    assert (oldest.age, oldest.leading()) == (3.0, "lock")


def test_another_transaction_of_the_session_is_another_attempt() -> None:
    """And an old pid with a new start is another session."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(5.0)])
    attempts.update(1.0, [row(0.1, start=1005.9)])
    assert [each.age for each in attempts.running()] == [0.1]
    attempts.update(2.0, [replace(row(0.3, start=1007.0), backend=(4711, 2.0))])
    assert [each.age for each in attempts.running()] == [0.3]


def test_a_statement_that_is_its_transaction_s_first_is_the_completer_s() -> None:
    """JobCompleteTx sends the same text later in its user's transaction, where the deadline does not apply."""
    attempts = Attempts(10)
    assert attempts.is_completers(row(1.0, offset=0.0003))
    assert not attempts.is_completers(row(9.0, offset=0.03))
    assert not attempts.is_completers(row(9.0, offset=5.0))


@pytest.mark.parametrize("offset", [0.004, 0.4])
@pytest.mark.parametrize(("foreign", "theirs"), [(False, True), (True, False)])
def test_in_doubt_the_transaction_s_locks_tell(offset: float, foreign: bool, theirs: bool) -> None:
    """A batch of thousands takes milliseconds to be read, as long as a round trip may take; on a busy server longer."""
    attempts = Attempts(10)
    doubtful = row(1.0, offset=offset, foreign=foreign)
    assert attempts.undecided(doubtful)
    assert attempts.is_completers(doubtful) is theirs
    assert not attempts.undecided(row(1.0, offset=0.0003))
    assert not attempts.undecided(row(9.0, offset=1.4))


@pytest.mark.parametrize(("foreign", "theirs"), [(False, True), (True, False)])
@pytest.mark.parametrize("offset", [0.0001, 0.004, 0.3])
def test_behind_a_begin_the_transaction_s_locks_always_tell(offset: float, foreign: bool, theirs: bool) -> None:
    """Between it and JobCompleteTx there may be a statement of somebody's own, however short the time."""
    attempts = Attempts(10)
    wrapped = row(1.0, offset=offset, wrapped=True, foreign=foreign)
    assert attempts.undecided(wrapped)
    assert attempts.is_completers(wrapped) is theirs


def test_a_transaction_that_did_something_else_first_is_never_the_completer_s() -> None:
    """However soon after it the completing statement was seen."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(0.001, statement="other", offset=0.0)])
    attempts.update(0.25, [row(0.25, offset=0.0)])
    assert attempts.running() == []
    attempts.update(1.0, [row(0.1, start=1000.9)])  # its next transaction may be
    assert len(attempts.running()) == 1


def test_completing_first_and_going_on_is_no_attempt_of_the_completer() -> None:
    """River from v0.24 on sends its statement alone: an open transaction after it is somebody's own."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(0.1)])
    assert len(attempts.running()) == 1
    attempts.update(1.0, [row(1.1, state="idle in transaction", wait=("Client", "ClientRead"))])
    assert attempts.running() == []
    attempts.update(2.0, [row(2.1, statement="control")])
    assert attempts.running() == []


def test_river_016_is_followed_from_begin_to_a_commit_that_stalls() -> None:
    """Its query says just `commit` then; waiting for River between the statements is the network's."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(0.01, statement="control", wrapped=None, offset=0.0, state="idle in transaction")])
    assert attempts.running() == []
    attempts.update(1.0, [row(1.0, wrapped=True, offset=0.01, wait=LOCK)])
    attempts.update(2.0, [row(2.0, wrapped=True, offset=0.01, state="idle in transaction")])
    attempts.update(3.0, [row(3.0, statement="control", wrapped=None, offset=2.9, wait=SYNC)])
    (attempt,) = attempts.running()
    assert attempt.seconds == pytest.approx({"lock": 1.0, "network": 1.0, "storage": 1.0})
    assert attempts.update(4.0, [replace(idle(1.5, 0.5), statement="control")]) == []
    assert attempts.running() == []


def test_a_success_of_nine_and_a_half_seconds_is_no_timeout() -> None:
    """Whether its session is seen idle afterwards or working on."""
    for after in (idle(9.5, 0.2), row(0.1, start=1010.0), row(0.1, start=1010.0, statement="other")):
        attempts = Attempts(10)
        attempts.update(0.0, [row(9.3, wait=LOCK)])
        assert attempts.update(0.4, [after]) == []


def test_an_attempt_that_is_cut_off_at_ten_seconds_is_one_timeout() -> None:
    """River ends its session; it is counted once, by the cause that led."""
    attempts = Attempts(10)
    for tenth in range(0, 100, 25):
        attempts.update(tenth / 10, [row(tenth / 10 + 0.1, wait=LOCK if tenth else SYNC)])
    attempts.update(9.75, [row(9.85, wait=LOCK)])
    assert attempts.update(10.0, []) == [TimedOut("lock", 9.85)]
    assert attempts.update(10.25, []) == []


def test_through_a_pooler_the_session_stays_and_the_length_tells() -> None:
    """A cancelled statement leaves its session idle: ten seconds are a timeout, less is none."""
    for duration, timeouts in ((9.99, 0), (10.0, 1), (10.3, 1), (11.5, 0)):
        attempts = Attempts(10)
        attempts.update(0.0, [row(9.8, wait=LOCK)])
        assert len(attempts.update(0.5, [idle(duration, 0.1)])) == timeouts, duration


def test_a_session_that_ends_early_is_no_timeout() -> None:
    """A deploy kills workers in the middle of an attempt."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(4.0, wait=LOCK)])
    assert attempts.update(0.25, []) == []


def test_an_attempt_longer_than_the_deadline_is_nobody_s_timeout() -> None:
    """The deadline did not apply to it: some other client sends River's statement."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(15.0, wait=LOCK)])
    assert attempts.update(0.25, []) == []


def test_what_ended_while_nobody_looked_is_not_guessed_at() -> None:
    """After ten blind seconds an attempt of five may have ended anyhow."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(5.0, wait=LOCK)])
    assert attempts.update(10.0, []) == []
    attempts.update(11.0, [row(5.0, wait=LOCK, start=1011.0)])
    attempts.update(21.0, [row(15.0, wait=LOCK, start=1011.0)])
    assert [each.age for each in attempts.running()] == [15.0]


def test_a_changed_clock_of_the_server_takes_no_time_away() -> None:
    """An age that fell adds nothing."""
    attempts = Attempts(10)
    attempts.update(0.0, [row(3.0, wait=LOCK)])
    attempts.update(1.0, [row(1.0, wait=LOCK)])
    (attempt,) = attempts.running()
    assert attempt.seconds["lock"] == 3.0


def test_what_ended_between_two_samples_keeps_the_cause_it_was_seen_waiting_for() -> None:
    """A lock of 2 s that was last seen at 1.8 s stays a lock; a statement that nobody saw counts as execution."""
    attempts = Attempts(10.0)
    waiting = SessionRow(
        (1, 1.0), "active", "Lock", "transactionid", 100.0, "completing", statement_age=1.8, transaction_age=1.8
    )
    attempts.update(1.0, [waiting])
    ended = SessionRow((1, 1.0), "idle", "Client", "ClientRead", None, "completing", statement_age=2.5, idle_since=0.5)
    attempts.update(2.0, [ended])
    assert attempts.finished(ended) == pytest.approx({"lock": 2.0})
    quick = SessionRow((2, 1.0), "idle", "Client", "ClientRead", None, "completing", statement_age=0.6, idle_since=0.5)
    assert attempts.finished(quick) == pytest.approx({"execution": 0.1})


def test_a_statement_that_runs_on_past_the_deadline_has_timed_out() -> None:
    """River for Rust drops its attempt without a cancel, and retries beside it: counted once, for ten seconds."""
    attempts = Attempts(10)
    ended = []
    for second in range(1, 32):
        ended += attempts.update(float(second), [row(float(second), wait=("Lock", "transactionid"))])
    assert ended == [TimedOut("lock", 10.0)]
    (attempt,) = attempts.running()
    assert attempt.age == 31
    assert sum(attempt.within(10).values()) == pytest.approx(10)
    assert attempts.update(32.0, []) == []  # its end is no second one


def test_a_runtime_without_a_deadline_never_times_out() -> None:
    """Java's and Ruby's statements wait for as long as it takes."""
    attempts = Attempts(10)
    for second in range(1, 32):
        waiting = replace(row(float(second), wait=("Lock", "relation")), deadline=False)
        assert attempts.update(float(second), [waiting]) == []
    (attempt,) = attempts.running()
    assert sum(attempt.within(10).values()) == pytest.approx(31)
    assert attempts.update(32.0, []) == []
