"""Looks: one for each activation function, in every picture."""

import pytest

from lab import RunConfig, plots
from lab.activations import registry
from lab.plots import styles


def test_every_built_in_function_has_a_look_of_its_own_of_the_palette(look):
    looks = [look(name) for name in registry.names()]
    assert len(set(looks)) == len(looks)
    assert {colour for colour, _ in looks} <= set(registry.OKABE_ITO.values())


@pytest.mark.parametrize("name", ["a", "swoosh", "mine", "bent_relu"])
def test_an_own_function_has_a_look_that_no_built_in_one_has(look, name):
    colour, line = registry.own_style(name)
    assert (colour, line) not in [look(n) for n in registry.names()]
    assert registry.own_style(name) == (colour, line)


def test_two_parameters_of_one_function_share_the_colour_and_not_the_line_style():
    first, second = plots.functions(["leaky_relu=0.1", "leaky_relu=0.3"]).get_lines()
    assert first.get_color() == second.get_color()
    assert first.get_linestyle() != second.get_linestyle()


def test_many_parameters_of_one_function_all_look_different_and_the_default_keeps_its_own(look):
    slopes = (0.5, 0.1, 0.2, 0.3, 0.01, 0.4, 0.6)
    lines = plots.functions([f"leaky_relu={slope}" for slope in slopes]).get_lines()
    looks = [(line.get_color(), line._unscaled_dash_pattern) for line in lines]
    assert len(set(looks)) == len(slopes)
    assert (lines[4].get_color(), lines[4].get_linestyle()) == look("leaky_relu")


def test_a_function_with_another_parameter_looks_like_no_other_function(look):
    slopes = [f"leaky_relu={number / 10}" for number in range(1, 10)]
    shown = styles.styles_of([RunConfig(activation=slope) for slope in slopes])
    others = {look(name) for name in registry.names() if name != "leaky_relu"}
    assert not {(style.colour, style.line) for style in shown} & others


def test_settings_that_differ_are_named_in_the_labels(runs):
    a, b = runs[0].config, runs[0].config.model_copy(update={"learning_rate": 0.5})
    assert styles.labels([a, b]) == ["ReLU, learning rate 0.3", "ReLU, learning rate 0.5"]
    assert styles.labels([a, runs[1].config]) == ["ReLU", "ELU α=1"]
