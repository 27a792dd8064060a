"""Settings and their values, written for people and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import RunConfig
from lab.errors import InputError
from lab.experiment.spelling import (
    differences,
    read_values,
    read_widths,
    value_words,
    write_values,
)


@pytest.mark.parametrize("text", ["64-32", "64x32", "64,32", "64 × 32", " 64 , 32 "])
def test_widths_are_read_in_every_spelling(text):
    assert RunConfig(hidden=read_widths(text)).hidden == (64, 32)


@pytest.mark.parametrize("text", ["-5", "64,-5", "64--5", "64,,32", "", "64 32", "64-", "x"])
def test_what_is_no_width_is_refused_and_never_read_as_another(text):
    with pytest.raises(InputError, match=r"^hidden must be "):
        RunConfig(hidden=read_widths(text))


@given(st.lists(st.lists(st.integers(1, 4096), min_size=1, max_size=9), min_size=1, max_size=5))
def test_widths_are_written_in_one_way_which_reads_back(widths):
    found = read_values("hidden", write_values(widths))
    assert [list(map(int, one)) for one in found] == widths


def test_a_value_is_short_for_people():
    assert value_words((512, 512)) == "512-512"
    assert value_words(0.001) == "0.001"
    assert value_words("adam") == "adam"


def test_a_remedy_is_named_where_it_is_applied_alone():
    settings = [{}, {"normalization": "layer"}, {"optimizer": "adamw"}, {"learning_rate": 0.1}]
    assert differences([RunConfig(**one) for one in settings]) == [
        ["optimizer adam", "learning rate 0.001"],
        ["optimizer adam", "learning rate 0.001", "normalization layer"],
        ["optimizer adamw", "learning rate 0.001", "weight decay 0.004"],
        ["optimizer adam", "learning rate 0.1"],
    ]
