"""Errors that say what to do."""

import numpy as np
import pytest

from lab.errors import InputError, check_whole, is_whole, refusing, unknown


@pytest.mark.parametrize("value", [0, -3, np.int64(7), np.uint8(1), 10**30])
def test_whole_numbers_are_pythons_and_numpys(value):
    assert is_whole(value)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, np.float32(2), np.bool_(True)])
def test_a_truth_value_or_a_float_is_none(value):
    assert not is_whole(value)


@pytest.mark.parametrize("value", [0, 1025, 2.0, True, "2"])
def test_a_number_beyond_its_limits_is_refused_with_name_value_and_limits(value):
    wanted = rf"^workers must be a whole number from 1 to 1,024, not {value!r}\.$"
    with pytest.raises(InputError, match=wanted):
        check_whole("workers", value, 1, 1024)
    check_whole("workers", 1, 1, 1024)
    check_whole("workers", 1024, 1, 1024)


def test_a_misspelt_name_gets_a_suggestion_and_the_choices():
    error = unknown("activation", "rellu", ["relu", "elu"])
    assert str(error) == (
        "Unknown activation 'rellu'. Did you mean 'relu'? Choose from: relu, elu."
    )


def test_what_a_users_own_code_raises_becomes_one_sentence_and_the_labs_own_refusal_passes():
    words = r"^f failed with ZeroDivisionError: by 0$"
    with pytest.raises(InputError, match=words) as refused, refusing("f failed with "):
        raise ZeroDivisionError("by 0\nand more")
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    with pytest.raises(InputError, match=r"^z is no number$"), refusing("f failed with "):
        raise InputError("z is no number")
