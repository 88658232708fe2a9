"""The completer's state: what leaves `ok`, and that nothing but a commit leads back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.budget.state import SETTLE, CompleterState, Condition, Signals, StateMachine

TROUBLE = {CompleterState.SLOW, CompleterState.STALLED, CompleterState.FAILING}
HEALTHY = Signals(observed=True, on_time=0.0, recent=True, silence=0.0)


def machine() -> StateMachine:
    """One that has seen a healthy River."""
    one = StateMachine()
    assert tick(one, 0, HEALTHY).state is CompleterState.OK
    return one


def tick(one: StateMachine, now: float, seen: Signals) -> Condition:
    """With River's usual timeout and thresholds."""
    return one.tick(now, seen, 10.0, 0.3, 0.5)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (Signals(observed=True, attempt=2.9, silence=0.0), CompleterState.OK),
        (Signals(observed=True, attempt=3.0, silence=0.0), CompleterState.SLOW),
        (Signals(observed=True, silence=3.0), CompleterState.SLOW),
        (Signals(observed=True, silence=5.0), CompleterState.STALLED),
        (Signals(observed=True, failed=1, silence=0.0), CompleterState.FAILING),
        (Signals(observed=False), CompleterState.UNKNOWN),
    ],
)
def test_each_signal_has_its_state(seen: Signals, state: CompleterState) -> None:
    """Slow from the warning threshold on, stalled from the critical one."""
    assert tick(machine(), 1, seen).state is state


def test_quiet_between_two_attempts_changes_nothing() -> None:
    """River sleeps for up to four seconds, and a fault that lasts leaves no attempt to be seen."""
    one = machine()
    tick(one, 1, Signals(observed=True, attempt=9.0, silence=9.0, cause="lock"))
    found = tick(one, 2, Signals(observed=True, failed=1, silence=10.0, cause="lock"))
    assert found.state is CompleterState.FAILING
    for now in range(3, 300):
        found = tick(one, now, Signals(observed=True, failed=1, on_time=0.0, silence=None))
        assert (found.state, found.cause, found.since) == (CompleterState.FAILING, "lock", 1)


def test_a_commit_on_time_leads_back() -> None:
    """Once River's sleep after a failed attempt is over, since another client's commits say nothing of its batch."""
    one = machine()
    tick(one, 1, Signals(observed=True, failed=1, silence=10.0, cause="storage"))
    early = tick(one, 3, Signals(observed=True, failed=1, on_time=2.0, silence=0.0))
    assert early.state is CompleterState.FAILING
    found = tick(one, 1 + SETTLE, Signals(observed=True, failed=1, on_time=1 + SETTLE, silence=0.0))
    assert found == Condition(CompleterState.OK, None, 1 + SETTLE, 0.0, 1 + SETTLE, "storage")


def test_a_late_commit_does_not() -> None:
    """A cancelled wait for a standby is durable all the same: its rows show when the attempt has failed."""
    one = machine()
    tick(one, 1, Signals(observed=True, silence=6.0, cause="storage"))
    assert tick(one, 12, Signals(observed=True, silence=0.0, on_time=0.0)).state is CompleterState.STALLED


def test_a_river_in_which_nothing_runs_any_more_is_ok() -> None:
    """Nothing is due: there is nothing to wait for."""
    one = machine()
    tick(one, 1, Signals(observed=True, attempt=4.0))
    assert tick(one, 2, Signals(observed=True, idle=True)).state is CompleterState.OK


def test_a_lost_view_is_unknown_and_forgets_nothing() -> None:
    """Afterwards the trouble is still there."""
    one = machine()
    tick(one, 1, Signals(observed=True, silence=6.0, cause="pool"))
    blind = tick(one, 2, Signals(observed=False))
    assert (blind.state, blind.cause, blind.silence) == (CompleterState.UNKNOWN, "pool", None)
    assert tick(one, 60, replace(HEALTHY, recent=False, silence=None)).state is CompleterState.STALLED


def test_a_lock_on_the_table_is_trouble_though_completions_cannot_be_counted() -> None:
    """The exporter cannot read the table either; the attempt that waits shows, and a look at the table ends it."""
    one = machine()
    blind = Signals(observed=True, counted=False)
    assert tick(one, 1, blind).state is CompleterState.UNKNOWN
    assert tick(one, 5, replace(blind, attempt=5.0, cause="lock")).state is CompleterState.STALLED
    for now in range(11, 100):
        assert tick(one, now, replace(blind, failed=1)).state is CompleterState.FAILING
    assert tick(one, 101, replace(HEALTHY, failed=1, on_time=101.0)).state is CompleterState.OK


def test_a_start_is_unknown_until_a_completion_shows() -> None:
    """A restart in the middle of an outage must not begin with `ok`."""
    one = StateMachine()
    overdue = Signals(observed=True, overdue=True)
    for now in range(300):
        assert tick(one, now, overdue).state is CompleterState.UNKNOWN
    assert tick(one, 301, Signals(observed=True, recent=True)).state is CompleterState.OK


def test_a_river_of_long_jobs_is_ok_after_a_while_without_any_sign_of_trouble() -> None:
    """None of its jobs is overdue, and none may end for hours."""
    one = StateMachine()
    states = [tick(one, now, Signals(observed=True)).state for now in range(17)]
    assert states == [CompleterState.UNKNOWN] * 15 + [CompleterState.OK] * 2


def test_an_explanation_stays_until_another_comes() -> None:
    """And where nothing ever explained it, the cause is unknown."""
    one = machine()
    assert tick(one, 1, Signals(observed=True, silence=5.0)).cause == "unknown"
    assert tick(one, 2, Signals(observed=True, silence=6.0, cause="refused")).cause == "refused"
    assert tick(one, 3, Signals(observed=True, silence=7.0)).cause == "refused"


def test_totals_from_before_the_first_look_are_no_failures() -> None:
    """A hand-over begins with totals that were counted long ago."""
    one = StateMachine()
    assert tick(one, 0, replace(HEALTHY, failed=7)).state is CompleterState.OK
    assert tick(one, 1, replace(HEALTHY, failed=8)).state is CompleterState.FAILING


evidence = st.builds(
    Signals,
    observed=st.booleans(),
    counted=st.booleans(),
    attempt=st.floats(0, 40),
    failed=st.integers(0, 5),
    silence=st.none() | st.floats(0, 40),
    recent=st.booleans(),
    overdue=st.booleans(),
    cause=st.sampled_from([None, "pool", "network", "lock", "execution", "storage", "refused"]),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(evidence, st.floats(0.1, 30)), min_size=1, max_size=60))
def test_no_sequence_without_a_commit_leads_from_trouble_to_ok(steps: list[tuple[Signals, float]]) -> None:
    """Whatever is seen or not seen in between: quiet, windows that end, lost views, other causes."""
    one, now, troubled, failed = StateMachine(), 0.0, False, 0
    for seen, step in steps:
        now, failed = now + step, max(failed, seen.failed)
        found = tick(one, now, replace(seen, failed=failed, on_time=None, idle=False))
        troubled = troubled or found.state in TROUBLE
        if troubled:
            assert found.state is not CompleterState.OK
        if found.state in TROUBLE:
            assert found.cause is not None
        if not seen.observed:
            assert found.state is CompleterState.UNKNOWN


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(evidence, st.floats(0.1, 30)), min_size=1, max_size=60), st.floats(0, 100))
def test_commits_on_time_always_lead_back(steps: list[tuple[Signals, float]], pause: float) -> None:
    """No history leaves it in trouble for ever."""
    one, now, failed = StateMachine(), 0.0, 0
    for seen, step in steps:
        now, failed = now + step, max(failed, seen.failed)
        tick(one, now, replace(seen, failed=failed, on_time=None, idle=False))
    now += pause
    for _ in range(20):
        now += 0.5
        found = tick(one, now, replace(HEALTHY, failed=failed, on_time=now))
    assert found.state is CompleterState.OK
