"""Users: checking passwords against bcrypt hashes so that wrong ones delay no right one for long.

bcrypt is slow on purpose. A password that was found right is recognised by a keyed digest from then on and never waits
again. Every other one waits for its turn in one thread of low priority: first those of clients that have sent no wrong
password, then in the order of arrival. No client is refused for what others send; a flood is bounded by the number of
connections, and by the rest after each wrong password. Passwords are not kept beyond their check.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

# bcrypt reads this much of a password and ignores the rest, as htpasswd and Go do.
_MAX_PASSWORD = 72
# After a wrong password the thread rests as long as its check took: half a processor at most.
_REST = 1.0
# Seconds of rest that a client without a wrong password need not wait for; many addresses use them up.
_MAX_DEBT = 10.0
# A third of a usual thread's weight: scrapes go first, and a busy machine still lets a first scrape in.
_NICENESS = 5
_MAX_RIGHT = 64
_MAX_WRONG = 256


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether bcrypt takes the password for that of the hash; ValueError when it can't hold it."""
    import bcrypt  # nearly a MiB, which only an exporter with users needs

    return bcrypt.checkpw(password, hashed)


def basic_credentials(authorization: str) -> tuple[str, bytes] | None:
    """User name and password of an Authorization header; None when it holds none (RFC 7617)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None


class Verdict(Enum):
    """What is known of a user name and password."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCHECKED = "unchecked"
    """Its turn did not come in time."""


@dataclass(eq=False)
class _Check:
    """One password that waits; `hashed` is None for an unknown user."""

    digest: bytes
    hashed: bytes | None
    decoy: bytes
    password: bytes
    peer: str
    done: threading.Event
    verdict: Verdict = Verdict.UNCHECKED


class Users:
    """Answers whether a password is right; safe to call from many threads.

    Args:
        compare: bcrypt's comparison.

    Attributes:
        guesses: number of wrong passwords that were checked, by peer; only the peers of the last ones are in it.
    """

    def __init__(self, compare: Callable[[bytes, bytes], bool] = matches) -> None:
        self._compare = compare
        self._key = secrets.token_bytes(32)
        self._changed = threading.Condition()
        self._right: OrderedDict[bytes, Verdict] = OrderedDict()
        self._wrong: OrderedDict[bytes, Verdict] = OrderedDict()
        self.guesses: OrderedDict[str, int] = OrderedDict()
        self._waiting: list[_Check] = []
        self._rested = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False

    def check(
        self,
        users: Mapping[str, bytes],
        user: str,
        password: bytes,
        peer: str,
        patience: float = 8.0,
        done: threading.Event | None = None,
    ) -> Verdict:
        """Whether `password` is that of `user` among `users` (name to bcrypt hash).

        Args:
            peer: the client's address.
            patience: seconds to wait; a check that has begun by then goes on, and is remembered.
            done: ends the waiting when it is set.
        """
        hashed = users.get(user)
        digest = self._digest(user, hashed or b"", password)
        with self._changed:
            if digest in self._right:
                self._right.move_to_end(digest)
            known = self._right.get(digest) or self._wrong.get(digest)
            if known or self._closed:
                return known or Verdict.UNCHECKED
            decoy, done = self._decoy(users, user), done or threading.Event()
            check = _Check(digest, hashed, decoy, password[:_MAX_PASSWORD], peer, done)
            self._waiting.append(check)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bcrypt", daemon=True)
                self._thread.start()
            self._changed.notify()
        done.wait(patience)
        with self._changed:
            if check in self._waiting:
                self._waiting.remove(check)
            return check.verdict

    def close(self) -> None:
        """End the thread after the check it is at; what waits stays unchecked."""
        with self._changed:
            self._closed = True
            for check in self._waiting:
                check.done.set()
            self._changed.notify()

    def _digest(self, user: str, hashed: bytes, password: bytes) -> bytes:
        """A key for the caches that reveals nothing without this process' secret; a changed hash changes it."""
        parts = (user.encode("utf-8", "surrogatepass"), hashed, password)
        return hmac.digest(self._key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256)

    def _decoy(self, users: Mapping[str, bytes], user: str) -> bytes:
        """A hash for a user who isn't there, as costly as one of those who are: the time does not distinguish them."""
        hashes = sorted(users.values())
        return hashes[self._digest(user, b"", b"")[0] % len(hashes)][:29] + b"." * 31

    def _run(self) -> None:
        if sys.platform == "linux":
            # There a thread has a niceness of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while check := self._next():
            began = time.thread_time()
            try:
                right = self._compare(check.password, check.hashed or check.decoy) and check.hashed is not None
            except ValueError:
                right = False  # a NUL byte, which no bcrypt password can hold
            with self._changed:
                self._conclude(check, right, time.thread_time() - began)

    def _next(self) -> _Check | None:
        """The check whose turn it is, waited for; None at the end."""
        with self._changed:
            while not self._closed:
                first = min(self._waiting, key=lambda each: self.guesses.get(each.peer, 0), default=None)
                rest = self._rested - time.monotonic()
                if first is not None and first.peer not in self.guesses:
                    rest -= _MAX_DEBT
                if first is not None and rest <= 0:
                    self._waiting.remove(first)
                    return first
                self._changed.wait(None if first is None else rest)
        return None

    def _conclude(self, check: _Check, right: bool, seconds: float) -> None:
        """Remember the verdict, and give it to all who wait for the same."""
        if right:
            _remember(self._right, check.digest, Verdict.RIGHT, _MAX_RIGHT)
            self.guesses.pop(check.peer, None)
        else:
            _remember(self._wrong, check.digest, Verdict.WRONG, _MAX_WRONG)
            _remember(self.guesses, check.peer, self.guesses.pop(check.peer, 0) + 1, _MAX_WRONG)
            self._rested = max(self._rested, time.monotonic()) + _REST * seconds
        same = [each for each in self._waiting if each.digest == check.digest]
        self._waiting = [each for each in self._waiting if each.digest != check.digest]
        for each in (check, *same):
            each.password, each.verdict = b"", Verdict.RIGHT if right else Verdict.WRONG
            each.done.set()


def _remember(cache: OrderedDict[_K, _V], key: _K, value: _V, limit: int) -> None:
    cache[key] = value
    while len(cache) > limit:
        cache.popitem(last=False)
