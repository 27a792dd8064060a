"""Numbers in words."""

import pytest

from lab.words import LETTERS, number, wrapped


@pytest.mark.parametrize(
    ("value", "words"),
    [(8e-7, "0"), (-1e-9, "0"), (0.00049, "0.0005"), (-7153.4, "−7,153"), (0.0223, "0.0223")],
)
def test_a_number_in_prose_has_no_powers_of_ten(value, words):
    assert number(value) == words


def test_a_text_breaks_between_words_and_never_inside_a_name():
    name = "leaky_relu-seed0-" + 10 * "55840746"
    lines = wrapped(f"{20 * 'a neuron '}{name} is dead").splitlines()
    assert " ".join(lines) == f"{20 * 'a neuron '}{name} is dead"
    assert [line for line in lines if len(line) > LETTERS] == [name]
