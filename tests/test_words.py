"""Numbers in words."""

import pytest

from lab.words import number


@pytest.mark.parametrize(
    ("value", "words"),
    [(8e-7, "0"), (-1e-9, "0"), (0.00049, "0.0005"), (-7153.4, "−7,153"), (0.0223, "0.0223")],
)
def test_a_number_in_prose_has_no_powers_of_ten(value, words):
    assert number(value) == words
