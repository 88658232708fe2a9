"""Passwords are checked in time that tells nothing, and a flood of wrong ones holds nobody up."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator

import bcrypt
import pytest

from exporter.passwords import PasswordChecker, Verdict

USERS = {"alice": bcrypt.hashpw(b"right", bcrypt.gensalt(4))}


@pytest.fixture
def make() -> Iterator[Callable[..., PasswordChecker]]:
    """Make checkers that are closed at the end."""
    made: list[PasswordChecker] = []

    def checker(**arguments: object) -> PasswordChecker:
        made.append(PasswordChecker(**arguments))  # type: ignore[arg-type]
        return made[-1]

    yield checker
    for each in made:
        each.close()


class _Bcrypt:
    """A comparison that waits until released, and records what it was given."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.calls: list[tuple[bytes, bytes]] = []

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        """Right for the password `right`."""
        self.calls.append((password, hashed))
        self.release.wait(30)
        return password == b"right"


def _in_threads(checker: PasswordChecker, asked: list[tuple[str, bytes, str]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=checker.check, args=(USERS, *each)) for each in asked]
    for each in threads:
        each.start()
    return threads


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_right_is_right_and_wrong_is_wrong(make: Callable[..., PasswordChecker]) -> None:
    """With bcrypt itself; asking twice gives the same; strange passwords are wrong, not errors."""
    checker = make()
    for _ in range(2):
        assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
        assert checker.check(USERS, "alice", b"wrong", "a") is Verdict.WRONG
        assert checker.check(USERS, "bob", b"right", "a") is Verdict.WRONG
        assert checker.check(USERS, "alice", b"ri\x00ght", "a") is Verdict.WRONG
        assert checker.check(USERS, "", b"", "a") is Verdict.WRONG


def test_a_long_password_counts_to_its_72nd_byte(make: Callable[..., PasswordChecker]) -> None:
    """As with htpasswd and Go, whose hashes these are."""
    users = {"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}
    assert make().check(users, "alice", b"x" * 100, "a") is Verdict.RIGHT


def test_a_known_right_password_never_waits(make: Callable[..., PasswordChecker]) -> None:
    """It is answered while the queue is full and a check hangs."""
    compare = _Bcrypt()
    compare.release.set()
    checker = make(compare=compare, places=3)
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    compare.release.clear()
    threads = _in_threads(checker, [("alice", b"guess %d" % number, f"peer{number}") for number in range(3)])
    _wait_until(lambda: len(checker._under_way) == 3)
    began = time.monotonic()
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    assert time.monotonic() - began < 0.1
    assert checker.check(USERS, "alice", b"one more", "b") is Verdict.BUSY
    compare.release.set()
    for each in threads:
        each.join(30)


def test_one_peer_cannot_take_all_places(make: Callable[..., PasswordChecker]) -> None:
    """Another peer's first scrape, whose password isn't known yet, still finds one."""
    compare = _Bcrypt()
    checker = make(compare=compare, places=4, places_per_peer=2)
    threads = _in_threads(checker, [("alice", b"guess %d" % number, "stranger") for number in range(2)])
    _wait_until(lambda: len(checker._under_way) == 2)
    assert checker.check(USERS, "alice", b"guess 3", "stranger") is Verdict.BUSY
    threads += _in_threads(checker, [("alice", b"right", "prometheus")])
    _wait_until(lambda: len(checker._under_way) == 3)
    compare.release.set()
    for each in threads:
        each.join(30)
    assert checker.check(USERS, "alice", b"right", "prometheus") is Verdict.RIGHT


def test_an_impatient_request_leaves_its_check_to_be_remembered(make: Callable[..., PasswordChecker]) -> None:
    """A scrape that gave up is answered at once when it comes again."""
    compare = _Bcrypt()
    checker = make(compare=compare, patience=0.01)
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.BUSY
    compare.release.set()
    _wait_until(lambda: checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT)
    assert len(compare.calls) == 1


def test_the_same_password_asked_at_once_is_checked_once(make: Callable[..., PasswordChecker]) -> None:
    """Two scrapers with one user start together without counting twice."""
    compare = _Bcrypt()
    checker = make(compare=compare)
    threads = _in_threads(checker, [("alice", b"right", "a")] * 5)
    _wait_until(lambda: len(compare.calls) == 1)
    compare.release.set()
    for each in threads:
        each.join(30)
    assert len(compare.calls) == 1


def test_a_changed_hash_makes_the_old_password_wrong(make: Callable[..., PasswordChecker]) -> None:
    """What was found right holds for that hash only."""
    checker = make()
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    changed = {"alice": bcrypt.hashpw(b"other", bcrypt.gensalt(4))}
    assert checker.check(changed, "alice", b"right", "a") is Verdict.WRONG
    assert checker.check({"bob": changed["alice"]}, "alice", b"right", "a") is Verdict.WRONG


def test_an_unknown_user_takes_as_long_as_a_known_one(make: Callable[..., PasswordChecker]) -> None:
    """The processor time of a check differs by less than a quarter, in the median of nine."""
    users = {"alice": bcrypt.hashpw(b"right", bcrypt.gensalt(8))}
    took: dict[str, list[float]] = {"alice": [], "nobody": []}

    def compare(password: bytes, hashed: bytes) -> bool:
        began = time.thread_time()
        result = bcrypt.checkpw(password, hashed)
        took[password.decode().partition(" ")[0]].append(time.thread_time() - began)
        return result

    checker = make(compare=compare)
    for number in range(9):
        for user in took:
            assert checker.check(users, user, f"{user} {number}".encode(), "a") is Verdict.WRONG
    known, unknown = (statistics.median(each) for each in took.values())
    assert abs(known - unknown) < 0.25 * known


def test_caches_are_bounded_and_wrong_guesses_push_out_no_right_password(make: Callable[..., PasswordChecker]) -> None:
    """A million guesses need no memory, and make nobody wait again."""
    compare = _Bcrypt()
    compare.release.set()
    checker = make(compare=compare)
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    for number in range(400):
        assert checker.check(USERS, "alice", b"guess %d" % number, "b") is Verdict.WRONG
    assert len(checker._wrong) == 256
    calls = len(compare.calls)
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    assert len(compare.calls) == calls


def test_no_password_is_kept(make: Callable[..., PasswordChecker]) -> None:
    """After the check only keyed digests remain."""
    checker = make()
    checker.check(USERS, "alice", b"right", "a")
    checker.check(USERS, "alice", b"wrong", "a")
    assert [len(digest) for digest in [*checker._right, *checker._wrong]] == [32, 32]
    assert not checker._under_way


def test_a_closed_checker_answers_busy(make: Callable[..., PasswordChecker]) -> None:
    """At shutdown nothing new is checked."""
    checker = make()
    checker.close()
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.BUSY
