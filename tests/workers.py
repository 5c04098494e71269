"""How tests are shared out among the processes of `pytest -n auto`."""

from __future__ import annotations

import os
from typing import Final

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

__all__ = ["Sharing", "place", "workers"]

# These take longest; what begins last should not.
_FIRST: Final = (
    "tests/faults/test_scenarios.py",
    "tests/integration/test_kafka_channel.py",
    "tests/ui/pages/",
    "tests/proof/",
    "tests/ui/",
    "tests/docs/test_examples.py",
    "tests/integration/test_coverage.py",
    "tests/integration/test_silent.py",
    "tests/integration/test_reconcile.py",
    "tests/docs/test_site.py",
    "tests/test_benchmarks.py",
    "tests/test_namespace.py",
    "tests/cli/",
    "tests/conformance/",
    "tests/integration/",
    "tests/unit/reload/",
    "tests/unit/testing/",
)
# A broker takes seconds to start, so that all its tests are run by one process.
_WITH_KAFKA: Final = {
    "tests/dataflow/test_document.py",
    "tests/conformance/test_node.py",
    "tests/integration/test_codecs_on_kafka.py",
    "tests/integration/test_kafka_channel.py",
    "tests/integration/test_publish_kafka.py",
    "tests/integration/test_topic.py",
    "tests/integration/test_tracing.py",
    "tests/proof/test_kafka_kill.py",
}
# So does an instance with its pages; those of a process live until it ends, and each
# takes some of a processor meanwhile.
_TOGETHER: Final = {"tests/ui/pages/": "pages", "tests/ui/": "instance"}
_MORE: Final = 1
"""Processes beside one for each processor; what takes longest mostly waits. With more,
tests that measure time would get in each other's way."""


def workers() -> int:
    """How many processes run tests."""
    return (os.cpu_count() or 1) + _MORE


def place(nodeid: str) -> int:
    """Where a test stands among all."""
    found = (n for n, start in enumerate(_FIRST) if nodeid.startswith(start))
    return next(found, len(_FIRST))


class Sharing(LoadScopeScheduling):  # type: ignore[misc]
    """Each file is run by one process, and so are all files that need one server."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file in _WITH_KAFKA:
            return "Kafka"
        found = (scope for start, scope in _TOGETHER.items() if file.startswith(start))
        return next(found, file)
