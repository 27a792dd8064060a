"""Tables of records on a terminal: short numbers, within its width, the others named."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lab.cli.frames import print_frame

FRAME = pd.DataFrame(
    {
        "run_id": ["relu-seed0-1", "elu-seed0-2"],
        "activation": ["relu", "elu"],
        "parameter": [np.nan, 1.0],
        "dataset": ["mnist", "mnist"],
        "learning_rate": [0.001, 0.02],
        "test_accuracy": [0.887113, np.nan],
        "dead_fraction": [0.25, 0.0],
        "train_seconds": [28.00649, 3.5],
        "label": [None, ""],
    }
)


def printed(width, terminal=True):
    file = io.StringIO()
    print_frame(FRAME, Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


def test_numbers_are_short_shares_are_in_per_cent_and_nothing_is_a_dash():
    (relu,) = [line.split() for line in printed(200).splitlines() if "relu-seed0" in line]
    (elu,) = [line.split() for line in printed(200).splitlines() if "elu-seed0-2" in line]
    assert relu == ["relu-seed0-1", "relu", "-", "0.001", "88.71", "25.00", "28.01"]
    assert elu == ["elu-seed0-2", "elu", "1", "0.02", "-", "0.00", "3.5"]


def test_what_is_the_same_in_all_rows_stands_above_and_an_empty_column_nowhere():
    text = printed(200)
    assert text.startswith("In all rows: dataset mnist.\n")
    assert "label" not in text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_terminal_gets_what_it_has_room_for_and_the_names_of_the_rest(width):
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    assert "relu-seed0-1" in text
    if width == 40:
        assert "No room for: activation, parameter, train seconds." in " ".join(text.split())


def test_a_file_gets_every_column_on_one_line():
    text = printed(40, terminal=False)
    assert "No room" not in text
    assert ["relu-seed0-1", "relu", "-", "0.001", "88.71", "25.00", "28.01"] in [
        line.split() for line in text.splitlines()
    ]
