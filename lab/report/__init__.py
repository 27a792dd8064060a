"""The handout: what recorded runs show, as one HTML file without network and kernel."""

from lab.report.page import report, write_report

__all__ = ["report", "write_report"]
