"""Everything the tests on the cluster need, fetched and built with progress shown: ``python -m tests.k8s.fetch``."""

from exporter.demo import river
from exporter.demo.postgres_binaries import postgres_home
from exporter.demo.prometheus import promtool
from tests.k8s import helm, image_tools, operator


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
