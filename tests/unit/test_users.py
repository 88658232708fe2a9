"""Passwords are checked in time that tells nothing, and a flood of wrong ones holds nobody up."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator

import bcrypt
import pytest

from exporter.http.users import Users, Verdict

USERS = {"alice": bcrypt.hashpw(b"right", bcrypt.gensalt(4))}


@pytest.fixture
def make() -> Iterator[Callable[..., Users]]:
    """Make checkers that are closed at the end."""
    made: list[Users] = []

    def checker(**arguments: object) -> Users:
        made.append(Users(**arguments))  # type: ignore[arg-type]
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


def _in_threads(checker: Users, asked: list[tuple[str, bytes, str]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=checker.check, args=(USERS, *each)) for each in asked]
    for each in threads:
        each.start()
    return threads


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_right_is_right_and_wrong_is_wrong(make: Callable[..., Users]) -> None:
    """With bcrypt itself; asking twice gives the same; strange passwords are wrong, not errors."""
    checker = make()
    for _ in range(2):
        assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
        assert checker.check(USERS, "alice", b"wrong", "a") is Verdict.WRONG
        assert checker.check(USERS, "bob", b"right", "a") is Verdict.WRONG
        assert checker.check(USERS, "alice", b"ri\x00ght", "a") is Verdict.WRONG
        assert checker.check(USERS, "", b"", "a") is Verdict.WRONG


def test_a_long_password_counts_to_its_72nd_byte(make: Callable[..., Users]) -> None:
    """As with htpasswd and Go, whose hashes these are."""
    users = {"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}
    assert make().check(users, "alice", b"x" * 100, "a") is Verdict.RIGHT


def test_a_known_right_password_never_waits(make: Callable[..., Users]) -> None:
    """It is answered while others wait and a check hangs."""
    compare = _Bcrypt()
    compare.release.set()
    checker = make(compare=compare)
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    compare.release.clear()
    threads = _in_threads(checker, [("alice", b"guess %d" % number, f"peer{number}") for number in range(3)])
    _wait_until(lambda: len(checker._waiting) == 2)
    began = time.monotonic()
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    assert time.monotonic() - began < 0.1
    compare.release.set()
    for each in threads:
        each.join(30)


def test_a_peer_without_wrong_passwords_goes_first(make: Callable[..., Users]) -> None:
    """However many guesses of others wait: the next check is that of the first scrape of another peer."""
    compare = _Bcrypt()
    compare.release.set()
    checker = make(compare=compare)
    assert checker.check(USERS, "alice", b"guess", "stranger") is Verdict.WRONG
    compare.release.clear()
    threads = _in_threads(checker, [("alice", b"guess %d" % number, "stranger") for number in range(30)])
    _wait_until(lambda: len(compare.calls) == 2)
    _wait_until(lambda: len(checker._waiting) == 29)
    threads += _in_threads(checker, [("alice", b"right", "prometheus")])
    _wait_until(lambda: len(checker._waiting) == 30)
    compare.release.set()
    for each in threads:
        each.join(30)
    assert compare.calls[2][0] == b"right"
    assert checker.check(USERS, "alice", b"right", "prometheus") is Verdict.RIGHT


def test_wrong_passwords_take_half_a_processor_at_most(make: Callable[..., Users]) -> None:
    """After a wrong one the thread rests as long as it worked, which a peer without a wrong one need not wait for."""

    def compare(password: bytes, _: bytes) -> bool:
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        return password == b"right"

    checker = make(compare=compare)
    began = time.monotonic()
    for number in range(10):
        assert checker.check(USERS, "alice", b"guess %d" % number, "stranger") is Verdict.WRONG
    assert time.monotonic() - began >= 0.05 * 19
    checker._rested += 5.0
    began = time.monotonic()
    assert checker.check(USERS, "alice", b"right", "prometheus") is Verdict.RIGHT
    assert time.monotonic() - began < 4.0


def test_an_impatient_request_leaves_its_check_to_be_remembered(make: Callable[..., Users]) -> None:
    """A scrape that gave up is answered at once when it comes again."""
    compare = _Bcrypt()
    checker = make(compare=compare)
    assert checker.check(USERS, "alice", b"right", "a", 0.1) is Verdict.UNCHECKED
    compare.release.set()
    _wait_until(lambda: checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT)
    assert len(compare.calls) == 1


def test_a_request_that_ended_gives_up_its_turn(make: Callable[..., Users]) -> None:
    """Its connection was closed: nothing is checked for it any more."""
    compare = _Bcrypt()
    checker = make(compare=compare)
    threads = _in_threads(checker, [("alice", b"guess", "a")])
    _wait_until(lambda: len(compare.calls) == 1)
    ended = threading.Event()
    ended.set()
    assert checker.check(USERS, "alice", b"other", "b", 30, ended) is Verdict.UNCHECKED
    compare.release.set()
    for each in threads:
        each.join(30)
    assert [password for password, _ in compare.calls] == [b"guess"]


def test_the_same_password_asked_at_once_is_checked_once(make: Callable[..., Users]) -> None:
    """Two scrapers with one user start together without counting twice."""
    compare = _Bcrypt()
    checker = make(compare=compare)
    threads = _in_threads(checker, [("alice", b"right", "a")] * 5)
    _wait_until(lambda: len(compare.calls) == 1)
    compare.release.set()
    for each in threads:
        each.join(30)
    assert len(compare.calls) == 1


def test_a_changed_hash_makes_the_old_password_wrong(make: Callable[..., Users]) -> None:
    """What was found right holds for that hash only."""
    checker = make()
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.RIGHT
    changed = {"alice": bcrypt.hashpw(b"other", bcrypt.gensalt(4))}
    assert checker.check(changed, "alice", b"right", "a") is Verdict.WRONG
    assert checker.check({"bob": changed["alice"]}, "alice", b"right", "a") is Verdict.WRONG


def test_an_unknown_user_takes_as_long_as_a_known_one(make: Callable[..., Users]) -> None:
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


def test_caches_are_bounded_and_wrong_guesses_push_out_no_right_password(make: Callable[..., Users]) -> None:
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


def test_no_password_is_kept(make: Callable[..., Users]) -> None:
    """After the check only keyed digests remain."""
    checker = make()
    checker.check(USERS, "alice", b"right", "a")
    checker.check(USERS, "alice", b"wrong", "a")
    assert [len(digest) for digest in [*checker._right, *checker._wrong]] == [32, 32]
    assert not checker._waiting


def test_a_closed_checker_checks_nothing(make: Callable[..., Users]) -> None:
    """At shutdown it answers at once."""
    checker = make()
    checker.close()
    assert checker.check(USERS, "alice", b"right", "a") is Verdict.UNCHECKED
