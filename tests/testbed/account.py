"""As whom servers run: PostgreSQL and PgBouncer refuse root, so root starts them as an unprivileged account."""

import os
import pwd
import shutil
from pathlib import Path
from typing import NamedTuple

from tests.testbed.cache import cache_dir


class Account(NamedTuple):
    """A user and group id."""

    user: int
    group: int


def unprivileged() -> Account | None:
    """Return the account root's servers run as; None for an ordinary user, whose servers are its own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)  # Linux's overflow ids, what nobody is everywhere


def reachable(path: Path, within: Path) -> Path:
    """Return the path where the unprivileged account can read it: itself, or in a linked copy below `within`.

    Root's home, and with it root's cache, is closed to others as a rule. The copy is of the whole
    part (the cache's own subfolder), as programs find their libraries relative to themselves.
    """
    cache = cache_dir()
    if os.geteuid() != 0 or not path.is_relative_to(cache):
        return path
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in (cache, *cache.parents)):
        return path
    inner = path.relative_to(cache)
    copy = within / inner.parts[0]
    if not copy.is_dir():
        shutil.copytree(cache / inner.parts[0], copy, symlinks=True, copy_function=_link)
    return within / inner


def _link(source: str, target: str) -> None:
    """Link a file, or copy it where the two are on different file systems."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
