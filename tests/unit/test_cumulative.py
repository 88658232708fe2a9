"""Counters made from cumulative statistics never fall and never leap, whatever happens to their source."""

import pytest

from exporter.metrics.cumulative import CumulativeCounters, Differences
from exporter.metrics.metric import counter

WAL = counter("river_test_bytes_total", "Bytes")
IO = counter("river_test_operations_total", "Operations", "operation")


def test_the_first_reading_is_the_base() -> None:
    """A server's whole past is no rise: the series begins at 0, and what follows counts."""
    differences: Differences[str] = Differences()
    assert differences.take("s", {"a": (1e9, 7.0)}) == {"a": (0.0, 0.0)}
    assert differences.take("s", {"a": (1e9 + 5, 7.5)}) == {"a": (5.0, 0.5)}


def test_each_key_has_its_own_differences() -> None:
    """Keys rise independently."""
    differences: Differences[str] = Differences()
    differences.take("s", {"a": (1.0,), "b": (100.0,)})
    assert differences.take("s", {"a": (3.0,), "b": (101.0,)}) == {"a": (2.0,), "b": (1.0,)}


def test_a_number_that_fell_counts_from_zero() -> None:
    """An entry that began anew gives what it gathered since, all its numbers together, even one that is higher."""
    differences: Differences[str] = Differences()
    differences.take("s", {"a": (10.0, 1.0), "b": (1.0, 1.0)})
    assert differences.take("s", {"a": (4.0, 2.0), "b": (2.0, 1.0)}) == {"a": (4.0, 2.0), "b": (1.0, 0.0)}


def test_a_reset_counts_from_zero_though_nothing_fell() -> None:
    """After a reset that was followed by more than there was before, the new number is the rise."""
    differences: Differences[str] = Differences()
    differences.take("s", {"a": (10.0,)}, reset="monday")
    assert differences.take("s", {"a": (12.0,)}, reset="tuesday") == {"a": (12.0,)}
    assert differences.take("s", {"a": (13.0,)}, reset="tuesday") == {"a": (1.0,)}


@pytest.mark.parametrize("value", [3.0, 1e12])
def test_another_server_is_a_new_base(value: float) -> None:
    """After a failover the other server's numbers, higher or lower, are not what happened since."""
    differences: Differences[str] = Differences(newborn=True)
    differences.take("old", {"a": (10.0,)}, reset="monday")
    assert differences.take("new", {"a": (value,), "b": (5.0,)}, reset=None) == {"a": (0.0,), "b": (0.0,)}
    assert differences.take("new", {"a": (value + 1,), "b": (5.0,)}, reset=None) == {"a": (1.0,), "b": (0.0,)}


@pytest.mark.parametrize(("newborn", "rise"), [(False, 0.0), (True, 8.0)])
def test_a_key_that_comes_or_comes_back(newborn: bool, rise: float) -> None:
    """A key not in the reading before is a base, or counts from zero where the statistic makes it at its first use."""
    differences: Differences[str] = Differences(newborn=newborn)
    differences.take("s", {"a": (5.0,)})
    assert differences.take("s", {"b": (8.0,)}) == {"b": (rise,)}
    assert differences.take("s", {"a": (8.0,), "b": (8.0,)}) == {"a": (rise,), "b": (0.0,)}


def test_an_empty_first_reading_is_a_base_too() -> None:
    """Entries made after an empty first reading are new, where the statistic makes them at their first use."""
    differences: Differences[str] = Differences(newborn=True)
    assert differences.take("s", {}) == {}
    assert differences.take("s", {"a": (2.0,)}) == {"a": (2.0,)}


def test_counters_go_on_over_resets_and_failovers() -> None:
    """The exposed sums are the rises together: base 0, then 5, a reset with 2, another server with nothing, then 1."""
    counters = CumulativeCounters(WAL, IO)
    seen = []
    for source, reset, value in (("s", 1, 100), ("s", 1, 105), ("s", 2, 2), ("t", 2, 9e9), ("t", 2, 9e9 + 1)):
        counters.take(source, {(WAL, ()): value, (IO, ("read",)): value}, reset)
        values = {(sample.metric.name, *sample.labels): sample.value for sample in counters.samples()}
        assert values[WAL.name,] == values[IO.name, "read"]
        seen.append(values[WAL.name,])
    assert seen == [0, 5, 7, 7, 8]
