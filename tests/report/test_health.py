"""The page of a diagnosis: all that was found, nothing loaded, nothing run."""

import re

import pytest

from lab.errors import InputError, StoreError
from lab.outside import RULES, Diagnosis, Finding, LayerHealth
from lab.report import diagnosis_page, write_diagnosis

HOSTILE = "</style><script>alert(1)</script><img src='http://x'>"


def diagnosis(name="mine"):
    layer = LayerHealth(
        layer="hidden",
        function="relu",
        units=8,
        nonfinite=0,
        dead=3,
        nearly_dead=None,
        constant=1,
        dormant=2,
        saturated=0.125,
        gradient=0.5,
    )
    finding = Finding(
        kind="dead",
        layer="hidden",
        value=3 / 8,
        limit=0.25,
        what="3 of 8 units.",
        sure="Very.",
        bound=0.01,
        cause="The rate.",
        advice="A lower one.",
        evidence="docs/python.md",
        follows=None,
    )
    return Diagnosis(
        model=name,
        inputs=100,
        loss=None,
        layers=(layer,),
        findings=(finding,),
        not_checked=("Not checked: gradients: no labels.",),
    )


def test_the_page_holds_what_was_found_and_measured():
    page = diagnosis_page(diagnosis())
    for words in (
        "hidden: dead",
        "3 of 8 units.",
        "Very.",
        "The rate.",
        "A lower one.",
        "no labels",
    ):
        assert words in page
    cells = re.findall(r"<td>([^<]*)</td>", page)
    assert cells[:9] == ["relu", "8", "3", "-", "1", "2", "12.5", "0.5", RULES["non-finite"].words]


def test_the_page_loads_nothing_and_leads_nowhere():
    page = diagnosis_page(diagnosis())
    assert "default-src 'none'" in page
    assert re.findall(r"(?i)https?:|<script|<link|<img|url\(|@import|\ssrc=|\shref=", page) == []


def test_names_are_text():
    page = diagnosis_page(diagnosis(HOSTILE))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_it_fits_narrow_screens_and_both_themes():
    page = diagnosis_page(diagnosis())
    assert "width=device-width" in page
    assert "prefers-color-scheme: dark" in page


def test_only_a_diagnosis_is_written_over(tmp_path):
    place = tmp_path / "health.html"
    write_diagnosis(diagnosis("one"), place)
    write_diagnosis(diagnosis("two"), place)
    assert "of two, on 100 inputs" in place.read_text()
    other = tmp_path / "report.html"
    other.write_text('<meta name="generator" content="activation-lab report">')
    with pytest.raises(StoreError, match="is not a diagnosis of the lab"):
        write_diagnosis(diagnosis(), other)
    with pytest.raises(InputError, match=r"must be a file, such as 'diagnosis\.html'"):
        write_diagnosis(diagnosis(), 7)
