"""The listening socket, from an address as Prometheus exporters take it.

That is `:10917` (all interfaces), `127.0.0.1:0`, `[::1]:10917` or `host:port`.
"""

from __future__ import annotations

import errno
import re
import socket

from exporter.errors import ConfigError

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})", re.ASCII)
_BACKLOG = 128
_REMEDIES = {
    errno.EADDRINUSE: "the port is in use; stop what listens there or choose another one",
    errno.EACCES: "ports below 1024 need a privilege; choose a higher one",
    errno.EADDRNOTAVAIL: "that is no address of this machine; use :PORT for all of them",
    errno.EAFNOSUPPORT: "this machine has no addresses of that family; use :PORT for all it has",
}


def parse(address: str) -> tuple[str, int]:
    """Host (empty for all interfaces) and port of a listen address.

    Raises:
        ConfigError: it is none.
    """
    match = _ADDRESS.fullmatch(address)
    if not match:
        hint = f"; write [{address.rpartition(':')[0]}]:PORT" if address.count(":") > 2 else ""
        raise ConfigError(
            f"web.listen_address: {address!r} is no address to listen on, like :10917 or [::1]:10917{hint}"
        )
    port = int(match["port"])
    if port > 65535:
        raise ConfigError(f"web.listen_address: {address!r}: the port is above 65535")
    return match["six"] or match["host"] or "", port


def listen(address: str) -> socket.socket:
    """A socket that listens on `address`; all interfaces are IPv4 and IPv6 where the machine has both.

    Raises:
        ConfigError: the address is none, does not resolve, or can't be listened on.
    """
    host, port = parse(address)
    if host in ("", "::"):
        try:
            return _listen(socket.AF_INET6, ("::", port), dual=True)
        except OSError as error:
            # IPv6 may be compiled out, or switched off.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) or host:
                raise _explain(address, error) from None
        host = "0.0.0.0"  # noqa: S104 - that is what :PORT asks for
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"cannot listen on {address}: the name does not resolve; use :PORT or an address") from None
    # A name with several addresses means its IPv4 one, as it does to Prometheus' own programs.
    family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    try:
        return _listen(family, where, dual=False)
    except OSError as error:
        raise _explain(address, error) from None


def shown(listener: socket.socket) -> str:
    """The address a socket really listens on, as `host:port`."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(family: int, where: object, *, dual: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        listener.bind(where)  # type: ignore[arg-type]  # typeshed has no type for an address
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _explain(address: str, error: OSError) -> ConfigError:
    remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror}; choose another address")
    return ConfigError(f"web.listen_address: cannot listen on {address}: {remedy}")
