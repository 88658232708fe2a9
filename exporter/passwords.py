"""Checking passwords against bcrypt hashes without letting a stranger's guesses slow anybody down.

bcrypt is slow on purpose, so a flood of guesses could eat the processor and keep good requests waiting. Here a
password that was found right is known from then on by a keyed digest and never waits again. Every other one goes
through one thread of low priority that rests after each wrong guess, from a short queue with few places for one peer.
Nothing keeps a password beyond its check.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import queue
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

# bcrypt reads this much of a password and ignores the rest, as htpasswd and Go do.
_MAX_PASSWORD = 72
# After a wrong guess the thread rests three times the processor time it took: a quarter of one processor at most.
_REST = 3.0
# A third of a usual thread's weight: scrapes go first, and a busy machine still lets a first scrape in.
_NICENESS = 5
_MAX_RIGHT = 64
_MAX_WRONG = 256


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether bcrypt takes the password for that of the hash; ValueError when it can't hold it."""
    import bcrypt  # nearly a MiB, which only an exporter with users needs

    return bcrypt.checkpw(password, hashed)


class Verdict(Enum):
    """What is known of a user name and password."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"
    """Too many are being checked; ask again later."""


@dataclass
class _Check:
    """One password in the queue."""

    digest: bytes
    hashed: bytes
    password: bytes
    known: bool
    peer: str
    done: threading.Event = field(default_factory=threading.Event)
    right: bool = False


class PasswordChecker:
    """Answers whether a password is right; safe to call from many threads.

    Args:
        places: checks that wait or run at once; more are BUSY.
        places_per_peer: of these for one address, so that one stranger can't take all.
        patience: seconds a request waits for its check; it ends as BUSY, and the check goes on to be remembered.
        compare: bcrypt's comparison.
    """

    def __init__(
        self,
        places: int = 8,
        places_per_peer: int = 2,
        patience: float = 8.0,
        compare: Callable[[bytes, bytes], bool] = matches,
    ) -> None:
        self._places, self._places_per_peer, self._patience = places, places_per_peer, patience
        self._compare = compare
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._under_way: dict[bytes, _Check] = {}
        self._queue: queue.SimpleQueue[_Check | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def check(self, users: Mapping[str, bytes], user: str, password: bytes, peer: str) -> Verdict:
        """Whether `password` is that of `user` among `users` (name to bcrypt hash), asked by the address `peer`."""
        hashed = users.get(user)
        known = hashed is not None
        digest = self._digest(user, hashed or b"", password)
        with self._lock:
            if digest in self._right:
                self._right.move_to_end(digest)
                return Verdict.RIGHT
            if digest in self._wrong:
                return Verdict.WRONG
            waiting = self._under_way.get(digest)
            if waiting is None:
                if self._is_full(peer):
                    return Verdict.BUSY
                stored = hashed if hashed is not None else self._decoy(users, user)
                waiting = _Check(digest, stored, password[:_MAX_PASSWORD], known, peer)
                self._enqueue(waiting)
        if not waiting.done.wait(self._patience):
            return Verdict.BUSY
        return Verdict.RIGHT if waiting.right else Verdict.WRONG

    def close(self) -> None:
        """End the thread after the check it is at; checks that wait are wrong."""
        self._closed.set()
        self._queue.put(None)

    def _digest(self, user: str, hashed: bytes, password: bytes) -> bytes:
        """A key for the caches that tells nothing without this process' secret; a changed hash changes it."""
        parts = (user.encode("utf-8", "surrogatepass"), hashed, password)
        return hmac.digest(self._key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256)

    def _decoy(self, users: Mapping[str, bytes], user: str) -> bytes:
        """A hash for a user who isn't there, as costly as one of those who are: time doesn't tell them apart."""
        hashes = sorted(users.values())
        chosen = hashes[self._digest(user, b"", b"")[0] % len(hashes)]
        return chosen[:29] + b"." * 31

    def _is_full(self, peer: str) -> bool:
        mine = sum(check.peer == peer for check in self._under_way.values())
        return self._closed.is_set() or len(self._under_way) >= self._places or mine >= self._places_per_peer

    def _enqueue(self, check: _Check) -> None:
        self._under_way[check.digest] = check
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bcrypt", daemon=True)
            self._thread.start()
        self._queue.put(check)

    def _run(self) -> None:
        if sys.platform == "linux":
            # There a thread has a niceness of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (check := self._queue.get()) is not None:
            began = time.thread_time()
            check.right = not self._closed.is_set() and self._matches(check) and check.known
            check.password = b""
            with self._lock:
                _remember(*((self._right, _MAX_RIGHT) if check.right else (self._wrong, _MAX_WRONG)), check.digest)
                del self._under_way[check.digest]
            check.done.set()
            if not check.right:
                self._closed.wait(_REST * (time.thread_time() - began))

    def _matches(self, check: _Check) -> bool:
        try:
            return self._compare(check.password, check.hashed)
        except ValueError:
            # A NUL byte, which no bcrypt password can hold.
            return False


def _remember(cache: OrderedDict[bytes, None], most: int, digest: bytes) -> None:
    cache[digest] = None
    while len(cache) > most:
        cache.popitem(last=False)
