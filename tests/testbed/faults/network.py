"""A bad network between River and its database; all of these need the environment's proxy."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.testbed.faults.base import Environment, Fault, HeldFault
from tests.testbed.process import ServerFailed
from tests.testbed.proxy import TcpProxy


def proxy(environment: Environment) -> TcpProxy:
    """Return the environment's proxy.

    Raises:
        ServerFailed: there is none.
    """
    if environment.proxy is None:
        raise ServerFailed("this fault needs a proxy between River and its database")
    return environment.proxy


class NetworkDelay(Fault):
    """Every round trip takes longer."""

    name = "network-delay"
    cause = "network"
    unit = "seconds a round trip"
    strongest = 12.0

    def provoke(self) -> None:
        """Delay from now on."""
        self.stack.callback(proxy(self.environment).heal)
        self.adjust()

    def adjust(self) -> None:
        """Delay that much from now on."""
        proxy(self.environment).delay_seconds = self.intensity


class Jitter(NetworkDelay):
    """Round trips take a random time longer, up to the intensity."""

    name = "jitter"
    strongest = 30.0

    def adjust(self) -> None:
        """Vary by that much from now on."""
        proxy(self.environment).jitter_seconds = self.intensity


class BlackHole(HeldFault):
    """No packet comes through, and new connections get no answer."""

    name = "black-hole"
    cause = "network"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Swallow everything."""
        proxy(self.environment).black_hole()
        try:
            yield
        finally:
            proxy(self.environment).heal()


class AcceptThenStall(HeldFault):
    """Connections are accepted at once, and then nothing comes through: connecting alone shows nothing."""

    name = "accept-then-stall"
    cause = "network"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Stall everything."""
        proxy(self.environment).accept_then_stall()
        try:
            yield
        finally:
            proxy(self.environment).heal()


class Refuse(HeldFault):
    """Connections are reset and new ones refused, as while a database fails over."""

    name = "refuse"
    cause = "network"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Refuse everything."""
        proxy(self.environment).refuse()
        try:
            yield
        finally:
            proxy(self.environment).heal()
