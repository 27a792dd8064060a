"""For `pytest --nbval notebooks`: no comparison of the error stream, nor of pictures."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Takes the error stream and pictures out of nbval's comparison, as it does with PNG."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/svg+xml")
