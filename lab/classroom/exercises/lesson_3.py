"""Checks of the exercises of lesson 3: each gives a hint, never the answer."""

from typing import Any

from lab.classroom.answers import WrongAnswerError, matches
from lab.classroom.exercises.shared import (
    FUNCTION,
    dead_by_layer,
    elu_minus_relu,
    exercise,
    one_run_of,
    runs_of,
    wrong_if,
)
from lab.runs import Run, Runs


@exercise(
    "3.1",
    "You subtracted inside each seed, and took the mean of that: all functions of a seed have"
    " the same first weights. Is ELU below ReLU with each of the three seeds?",
)
def _paired_difference(recorded: Any, points: Any) -> None:
    """The answer is in points; `recorded` are the runs on full MNIST."""
    mean = {rate: elu_minus_relu(recorded, rate) for rate in (0.001, 0.005)}
    right = float(mean[0.005].mean())
    mistakes = {
        "You subtracted ELU's accuracy from ReLU's. The exercise asks for ELU − ReLU.": -right,
        "This is the difference at the learning rate 0.001. The exercise asks for 0.005.": (
            float(mean[0.001].mean())
        ),
        "One point is one percent: multiply by 100.": right / 100,
        **{
            f"This is the difference for seed {seed} alone. Take the mean of all three.": value
            for seed, value in mean[0.005].items()
        },
    }
    matches(points, right, mistakes, tolerance=0.01, rounding=0.0101)


@exercise(
    "3.2",
    "One pair refutes a claim about all pairs. It does not prove the opposite: how many pairs"
    " of the recorded runs agree with the claim?",
)
def _more_dead_and_yet_better(more: Any, fewer: Any) -> None:
    """Refutes: the more neurons are dead, the lower the test accuracy."""
    one, other = one_run_of(more), one_run_of(fewer)
    wrong_if(
        one.record.dataset != other.record.dataset,
        "Your runs learnt from different data sets: then anything can be the reason.",
    )
    first, second = (sum(dead_by_layer(run)) for run in (one, other))
    wrong_if(
        first <= second,
        f"Your first run has {first} dead neurons and your second {second}. "
        f"The first must have more.",
    )
    wrong_if(
        _accuracy(one) <= _accuracy(other),
        f"Your first run has more dead neurons and reads {_accuracy(one):.2%}; the second reads "
        f"{_accuracy(other):.2%}. That agrees with the claim: look on.",
    )


@exercise(
    "3.3",
    "It is above ELU with every seed. With three seeds this happens with probability 1/8 even"
    " if nothing differs: does it hold with six?",
)
def _beats_elu(answer: Any) -> None:
    wrong_if(
        answer is None or callable(answer),
        "The answer must be the name of your function as text. First give the function to the lab: "
        "`lab.register(name, function)`; then put the name in `mine`.",
    )
    runs = runs_of(answer)
    own = {run.config.seed: run for run in runs if run.record.own_activation}
    elu = {run.config.seed: run for run in runs if run.config.activation == "elu"}
    wrong_if(not own, "None of these runs has a function of your own: see `lab.register`.")
    names = {run.config.activation for run in runs if run.record.own_activation}
    wrong_if(len(names) > 1, "Compare one function of yours with ELU at a time.")
    wrong_if(not elu, "There is no run with ELU to compare with.")
    wrong_if(
        own.keys() != elu.keys() or len(own) < 3,
        "Each seed needs a run of both functions, and three seeds at least.",
    )
    wrong_if(
        len(Runs(runs).groups(("seed", *FUNCTION))) > 1,
        "Only the activation function may differ between the runs.",
    )
    better = sum(_accuracy(own[seed]) > _accuracy(elu[seed]) for seed in own)
    wrong_if(
        better < len(own),
        f"Your function is above ELU on {better} of {len(own)} seeds. The exercise asks for all of "
        f"them. Look at the playground: some functions there are straight on the right and bend "
        f"down on the left. Try one of that kind.",
    )


def _accuracy(run: Run) -> float:
    accuracy = run.record.test_accuracy
    if accuracy is None:
        raise WrongAnswerError("A run of yours has not ended: train it to the end.")
    return accuracy
