"""River's pools by the server's sessions: said only where their size is known and each process can be told."""

from __future__ import annotations

import pytest

from exporter.collectors.pools.sessions import Connection, ServerView, look

ONE, OTHER = ("10.0.0.1", "river", "worker"), ("10.0.0.2", "river", "worker")


def sessions(process: tuple[str, str, str], *held: float | None) -> list[Connection]:
    """Sessions of a process, each in a transaction for so many seconds, or idle."""
    return [Connection(process, each) for each in held]


@pytest.mark.parametrize(
    ("connections", "expected"),
    [
        (sessions(ONE, None, None), ServerView(1, 1.0, 0.0)),
        (sessions(ONE, 5.0, None), ServerView(1, 0.75, 0.0)),
        (sessions(ONE, 9.0, 7.0, 8.0), ServerView(1, 0.25, 0.0)),
        (sessions(ONE, 9.0, 7.0, 8.0, 12.0), ServerView(1, 0.0, 7.0)),  # none got one since the last did, 7 s ago
        (sessions(ONE, 9.0, 9.0, 9.0, 0.0), ServerView(1, 0.0, 0.0)),  # busy, but somebody just got one
        (sessions(ONE, 9.0, 9.0) + sessions(OTHER, 1.0, None, None), ServerView(2, 0.5, 0.0)),
        (sessions(ONE, 9.0, 9.0, 9.0, 9.0) + sessions(OTHER, 1.0), ServerView(2, 0.0, 9.0)),
        ([], None),
        (sessions(ONE, 9.0, 7.0, 8.0, 12.0, None), ServerView(1, 0.0, 7.0)),  # with the one that listens
        (sessions(ONE, *[None] * 6), None),  # two processes behind one address: how full each is, nobody knows
        (sessions(ONE, 9.0, 9.0, 9.0, 9.0) + sessions(OTHER, *[None] * 6), None),
    ],
)
def test_the_fullest_pool_speaks(connections: list[Connection], expected: ServerView | None) -> None:
    """Of four connections each; idle ones outside a transaction count as free."""
    assert look(connections, 4) == expected


def test_a_share_is_the_number_that_people_write() -> None:
    """`<= 0.3` of an alert holds with three of ten free."""
    found = look(sessions(ONE, *[1.0] * 7), 10)
    assert found is not None
    assert found.free_ratio == 0.3
