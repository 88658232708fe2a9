"""Texts of any database as str: what is not valid UTF-8 is replaced and counted, never fatal.

Facts: names of roles, and statements of a sibling database, keep that database's bytes. A server sends them as they are
where client_encoding is its own encoding or SQL_ASCII. A SQL_ASCII database converts nothing, but refuses to send what
is not valid in another client_encoding (22021, measured on PostgreSQL 18), so it is asked for SQL_ASCII. psycopg raises
UnicodeDecodeError for such texts, or returns bytes where client_encoding is SQL_ASCII.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import psycopg
from psycopg import adapt, pq
from psycopg.abc import AdaptContext, Buffer

CLIENT_ENCODING = "UTF8"
"""Requested at every connect, whatever PGCLIENTENCODING or a URL has."""

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


def ask_for_bytes(connection: psycopg.Connection[Any]) -> None:
    """Make a SQL_ASCII database send its texts as they are; any other converts them to UTF-8."""
    if connection.pgconn.parameter_status(b"server_encoding") == b"SQL_ASCII":
        connection.execute("SET client_encoding TO 'SQL_ASCII'")
