"""For `pytest --nbval notebooks`: what TensorFlow prints to the error stream is not compared."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Takes the error stream out of nbval's comparison."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
