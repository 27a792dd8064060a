"""The handout: what recorded runs show, as one HTML file without network and kernel.

The page of a health check is another.
"""

from lab.report.health import DIAGNOSIS_MARK, diagnosis_page, write_diagnosis
from lab.report.page import report, write_report
from lab.report.place import free_place, write_text

__all__ = [
    "DIAGNOSIS_MARK",
    "diagnosis_page",
    "free_place",
    "report",
    "write_diagnosis",
    "write_report",
    "write_text",
]
