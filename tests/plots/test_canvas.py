"""Pictures are drawn on the axes that are given, and need nothing heavy."""

import subprocess
import sys

from matplotlib.figure import Figure

from lab import plots


def test_a_plot_draws_on_the_axes_it_is_given_and_returns_them(runs):
    ax = Figure().subplots()
    assert plots.learning_curves(runs, ax=ax) is ax
    assert plots.dead_neurons(runs, 1, ax=ax) is ax
    assert plots.life_map(runs[0], 1, ax=ax) is ax
    assert plots.functions(ax=ax) is ax


def test_plots_need_neither_tensorflow_nor_pyplot(runs):
    script = (
        "import sys\nfrom lab import RunStore, plots\n"
        f"runs = RunStore({str(runs[0].folder.parent)!r}).runs\n"
        "plots.learning_curves(runs).figure.savefig(sys.stdout.buffer, format='svg')\n"
        "plots.functions(['gelu', 'mish'])\n"
        "assert not {'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"<svg" in ended.stdout
