"""Errors whose message is the one line a user reads."""


class ExporterError(Exception):
    """Something a user can fix; the message has what, where and the remedy, and holds no secret."""


class ConfigError(ExporterError):
    """The configuration is wrong: the process ends with exit code 2.

    Attributes:
        problems: each thing that is wrong, one line each.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
