"""The tests beyond `make test`: every Python that is here, and the long ones."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def _install(session: nox.Session) -> None:
    session.install("--require-hashes", "-r", "requirements-dev.lock")
    session.install("--no-build-isolation", "--no-deps", "--editable", ".")


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """The tests without servers, on each Python."""
    _install(session)
    session.run("pytest", "tests/unit", *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("server", ["13", "14", "15", "16", "17", "18"])
def postgres(session: nox.Session, server: str) -> None:
    """The tests with servers, on each PostgreSQL."""
    _install(session)
    session.run("pytest", "tests/integration", "tests/environments", f"--pg-version={server}", *session.posargs)


@nox.session(python="3.11")
def faults(session: nox.Session) -> None:
    """Every fault, one by one: that it hurts River as it should, that it heals, and that doctor names it."""
    _install(session)
    session.run("pytest", "tests/faults", *session.posargs)


@nox.session(python="3.11")
def prometheus3(session: nox.Session) -> None:
    """Rules and routes on the newest Prometheus and Alertmanager, which are built first."""
    _install(session)
    session.run("pytest", "tests/prometheus3", *session.posargs)


@nox.session(python="3.11")
def runtimes(session: nox.Session) -> None:
    """What the documentation shows in Java and Rust, whose toolchains nothing else needs."""
    _install(session)
    session.run("pytest", "tests/runtimes", *session.posargs)
