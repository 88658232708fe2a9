"""A live demonstration, and the pieces (River, PostgreSQL, faults) that tests and benchmarks share with it."""


def run(seconds: float | None = None) -> int:
    """Run the demonstration: a live view on a terminal, lines elsewhere; returns the exit code.

    Args:
        seconds: When it ends by itself, counted from when everything is up; without, when somebody quits.

    Raises:
        PartMissing: a part can't be had on this machine.
        ServerFailed: a part doesn't start, or ends meanwhile.
    """
    from exporter.demo.show import show  # here, as each of the pieces imports this package

    return show(seconds)
