"""Small files with one text in them: URLs and passwords, from a mounted Secret."""

from __future__ import annotations

import os
import stat

from exporter.errors import ConfigError

MAX_BYTES = 64 * 1024


def read_text(path: str, key: str, *, regular: bool = True) -> str:
    """The file's text without a byte order mark and without line ends at its end.

    Args:
        key: the configuration key or flag that names the file, for messages.
        regular: whether to refuse a pipe, such as /dev/stdin, which may never end.

    Raises:
        ConfigError: it cannot be read, is no regular file (a FIFO would be waited for), is empty, larger than
            MAX_BYTES or not UTF-8. The message holds nothing of the content.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0))
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise ConfigError(f"{key}: cannot read {path}: Is a directory")
            if regular and not stat.S_ISREG(mode):
                raise ConfigError(f"{key}: cannot read {path}: it is not a regular file")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {path}: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{key}: cannot read {path}: it is larger than {MAX_BYTES // 1024} kB")
    try:
        text = raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{key}: cannot read {path}: it is not UTF-8") from None
    if not text.strip():
        raise ConfigError(f"{key}: {path} is empty")
    return text
