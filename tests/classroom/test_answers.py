"""What a check says of an answer that is right, wrong, missing or no answer at all."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t

from lab.classroom import check, predictions
from lab.classroom.answers import EMPTY, WrongAnswerError, called, matches
from lab.classroom.exercises import CHECKS, WHY
from lab.errors import InputError
from lab.words import LETTERS


def test_a_verdict_counts_as_true_only_if_the_answer_is_right():
    right, wrong = check("2.1", 84_060), check("2.1", 5)
    assert right
    assert not wrong
    assert repr(right).replace("\n", " ") == f"Exercise 2.1: right. {WHY['2.1']}"
    assert max(map(len, repr(right).splitlines())) <= LETTERS
    assert repr(wrong) == "Exercise 2.1: not yet. This is not right. Check your way step by step."
    assert (right.exercise, right.passed, right.message) == ("2.1", True, WHY["2.1"])


def test_what_is_said_of_right_answers_ends_in_a_full_stop_and_its_numbers_are_true():
    assert list(WHY) == list(CHECKS)
    assert all(why[-1] in ".?" for why in WHY.values())
    assert "less than a millionth of a millionth" in WHY["1.2"]
    assert 0.25**20 < 1e-6 * 1e-6
    assert "More than nine in ten" in WHY["2.1"]
    assert (784 * 100 + 100) / 84_060 > 0.9
    assert WHY["2.3"].startswith(f"{48_000 // 128} steps")
    assert (
        f"t is {student_t.ppf(0.975, 2):.1f}, and with very many {norm.ppf(0.975):.2f}"
        in WHY["6.3"]
    )


@pytest.mark.parametrize("answer", [(), (...,), ("gelu", ..., -1.0)])
def test_a_sentence_says_that_an_answer_was_left_open(answer):
    assert check("1.4", *answer).message == EMPTY


@pytest.mark.parametrize("exercise", ["99.1", "", 2.1, None])
def test_an_exercise_that_does_not_exist_is_an_error_in_one_sentence(exercise):
    with pytest.raises(InputError, match=r"Unknown exercise .*Choose from: 1\.1, 1\.2"):
        check(exercise, 1)


@pytest.mark.parametrize("exercise", ["1.1", "2.1", "3.2", "4.1", "4.3", "5.2", "5.4"])
@pytest.mark.parametrize(
    "answer", [(None,), ("words",), (1, 2, 3, 4, 5), (object(),), ([],), (True,), (np.nan,)]
)
def test_no_answer_makes_a_traceback(exercise, answer):
    verdict = check(exercise, *answer)
    assert not verdict
    assert verdict.message


def test_a_number_counts_to_one_part_in_a_thousand():
    matches(1000.9, 1000.0, {})
    with pytest.raises(WrongAnswerError, match="step by step"):
        matches(1001.1, 1000.0, {})
    with pytest.raises(WrongAnswerError, match="step by step"):
        matches(1e-4, 0.0, {})


def test_what_is_counted_must_be_right_to_the_last_one():
    matches(84_060.0, 84_060, {})
    with pytest.raises(WrongAnswerError, match="step by step"):
        matches(84_061, 84_060, {})


def test_one_who_computes_with_printed_numbers_is_not_wrong():
    matches(-0.50, -0.507, {}, tolerance=0.01, rounding=0.01)
    with pytest.raises(WrongAnswerError, match="step by step"):
        matches(-0.53, -0.507, {}, tolerance=0.01, rounding=0.01)


def test_a_typical_mistake_gets_its_own_hint_and_a_wrong_shape_both_shapes():
    with pytest.raises(WrongAnswerError, match="the sign"):
        matches([-1, -2], [1, 2], {"mind the sign": [-1, -2]})
    with pytest.raises(
        WrongAnswerError, match=r"is one number\. The exercise asks for an array of shape"
    ):
        matches(1, [1, 2], {})
    with pytest.raises(WrongAnswerError, match="must be a number or an array of numbers"):
        matches("many", 1, {})


def test_a_students_function_gets_copies_and_its_failure_is_one_sentence():
    z = np.ones(3)

    def spoils(array):
        array[:] = 0
        return array

    assert called(spoils, z).tolist() == [0, 0, 0]
    assert z.tolist() == [1, 1, 1]
    with pytest.raises(WrongAnswerError, match="must be a function"):
        called(3, z)
    with pytest.raises(WrongAnswerError, match=r"end it with `return …`"):
        called(lambda z: None, z)
    with pytest.raises(WrongAnswerError, match=r"failed with ZeroDivisionError: division by zero$"):
        called(lambda z: 1 / 0, z)
    with pytest.raises(WrongAnswerError, match=r"NumPy has `np\.where`"):
        called(lambda z: 1 if z > 0 else 0, z)


def test_predictions_stand_beside_what_came_out():
    table = predictions(dead_in_percent=(10, 23.441), best=("elu", "relu"), worst=(..., "elu"))
    assert table.index.tolist() == ["dead in percent", "best", "worst"]
    assert table["outcome"].tolist() == [23.44, "relu", "elu"]
    assert table["off by"].tolist() == [-13.44, "not this", ""]
    assert table.loc["worst", "prediction"] == "no prediction"
    assert predictions(best=("elu", "elu")).loc["best", "off by"] == ""
    assert predictions(order=("b, a, C", "BAC")).loc["order", "off by"] == ""


@pytest.mark.parametrize("found", [0.2344, 2344.0])
def test_an_answer_that_is_right_but_for_a_factor_of_100_says_so(found):
    with pytest.raises(WrongAnswerError, match="right except for a factor of 100"):
        matches(found, 23.44, {})
