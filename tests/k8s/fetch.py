"""Everything the tests on the cluster need, fetched and built with progress shown: ``python -m tests.k8s.fetch``."""

from tests.k8s import helm, image_tools, operator
from tests.testbed import river
from tests.testbed.postgres_binaries import postgres_home
from tests.testbed.prometheus import promtool


def main() -> None:
    """Fetch each part; what is in the cache already takes no time."""
    for part in (helm.helm_3, helm.helm_4, helm.actionlint, helm.operator_definitions, promtool, operator.prometheus):
        part()
    postgres_home(18)
    river.binary()
    for tool in (image_tools.podman, image_tools.runc, image_tools.conmon, image_tools.base_image):
        tool()


if __name__ == "__main__":
    main()
