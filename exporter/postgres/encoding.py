"""Texts of any database as str: what is not valid UTF-8 is replaced and counted, never fatal.

Facts: in a SQL_ASCII database the server converts and verifies nothing, and names of roles as well as statements of a
sibling database keep that database's bytes (PostgreSQL manual, "Character Set Support"). psycopg then raises
UnicodeDecodeError, or returns bytes where client_encoding is SQL_ASCII.
"""

from __future__ import annotations

from typing import Protocol, cast

from psycopg import adapt, pq
from psycopg.abc import AdaptContext, Buffer

TYPES = ("text", "varchar", "name", "bpchar", '"char"')
"""Types whose values are texts; arrays of them use the same loaders."""


class CountsTexts(Protocol):
    """A connection that counts what could not be decoded."""

    undecodable: int


class _ReplacingLoader(adapt.Loader):
    """Decodes UTF-8, with U+FFFD for what is none."""

    def load(self, data: Buffer) -> str:
        raw = bytes(data)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            if self.connection is not None:
                cast("CountsTexts", self.connection).undecodable += 1
            return raw.decode(errors="replace")


class _ReplacingBinaryLoader(_ReplacingLoader):
    format = pq.Format.BINARY


def replace_undecodable(context: AdaptContext) -> None:
    """Make a connection return every text as str."""
    for name in TYPES:
        for loader in (_ReplacingLoader, _ReplacingBinaryLoader):
            context.adapters.register_loader(name, loader)
