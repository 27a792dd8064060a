"""Tables as CSV files that a spreadsheet opens correctly, and that run nothing there."""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.system import at_home

if TYPE_CHECKING:
    import pandas as pd

BOM = "\ufeff"  # Without it a spreadsheet reads the file in its country's old encoding.
MISSING = "NaN"
# A spreadsheet of another country splits a cell at the separator that this file does not use.
PART = re.compile(r"[^,;]+")
# What a spreadsheet reads as a formula, after what it skips; and the mark, to remove it again.
RUNS = re.compile(r"[\"\s]*['=+\-@＝＋－＠\x00-\x1f]")
MARK = "'"


def to_csv(table: "pd.DataFrame", decimal_comma: bool = False) -> str:
    """Returns a table as the text of a CSV file; NaN is written NaN.

    Text that a spreadsheet would run as a formula has an apostrophe in front, also where it follows
    a comma or a semicolon; `read_csv` takes it away again. pandas reads the file, too, with the
    apostrophes.

    Args:
        table: The table. Its index is left out.
        decimal_comma: Whether numbers have a decimal comma and semicolons separate cells, as
            spreadsheets of many countries expect.
    """
    safe = table.rename(columns=_marked).apply(_safe)
    form: dict[str, Any] = {"index": False, "na_rep": MISSING, "lineterminator": "\n"} | _form(
        decimal_comma
    )
    text: str = safe.to_csv(**form)
    if "\r" in text:  # Python before 3.13 does not see that it needs quotes.
        text = safe.to_csv(quoting=csv.QUOTE_ALL, **form)
    return BOM + text


def read_csv(file: Any, decimal_comma: bool = False, **options: Any) -> "pd.DataFrame":
    """Reads a table that `to_csv` wrote, and restores every text.

    Args:
        file: A path, or what else `pandas.read_csv` takes.
        decimal_comma: Whether it was written with decimal commas.
        options: Further options of `pandas.read_csv`.
    """
    import pandas as pd

    place = at_home(file) if isinstance(file, str | Path) else file
    # A label is text, whatever it looks like.
    labels: dict[str, Any] = {"dtype": {"label": str}, "skip_blank_lines": False}
    usual = labels | {"keep_default_na": False, "na_values": [MISSING]}
    table: pd.DataFrame = pd.read_csv(place, **usual | _form(decimal_comma) | options)
    return table.rename(columns=_unmarked).map(_unmarked)


def _form(decimal_comma: bool) -> dict[str, Any]:
    return {"sep": ";", "decimal": ","} if decimal_comma else {"sep": ",", "decimal": "."}


def _safe(column: "pd.Series[Any]") -> "pd.Series[Any]":
    from pandas.api.types import is_numeric_dtype

    return column if is_numeric_dtype(column) else column.map(_marked)


def _marked(cell: Any) -> Any:
    return PART.sub(_marked_part, cell) if isinstance(cell, str) else cell


def _marked_part(part: re.Match[str]) -> str:
    text = part[0]
    runs = RUNS.match(text) and not _is_number(text)
    return MARK + text if runs or text == MISSING else text


def _unmarked(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    return PART.sub(lambda part: part[0].removeprefix(MARK), cell)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
