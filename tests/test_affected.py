"""Which tests a change can break."""

from affected import EVERYTHING, ROOT, affected


def folders(*changed):
    return {name for name in affected(changed) if not name.endswith(".py")}


def test_a_change_concerns_its_wing_and_those_above_it():
    assert folders("lab/widgets/race.py") == {"tests/widgets"}
    assert folders("lab/report/page.py") == {"tests/report", "tests/cli"}
    assert {"tests/stats", "tests/studies", "tests/cli"} <= folders("lab/stats/pairs.py")
    assert "tests/training" not in folders("lab/stats/pairs.py")


def test_a_wing_that_all_import_concerns_all_wings():
    found = folders("lab/errors.py")
    assert {"tests/training", "tests/plots", "tests/widgets"} <= found


def test_tests_notebooks_and_figures_concern_those_that_read_them():
    assert folders("tests/runs/test_run.py") == {"tests/runs"}
    assert folders("notebooks/01_activation_functions.ipynb") == {
        "tests/classroom",
        "tests/notebooks",
    }
    assert folders("README.md") == set()


def test_packages_ci_and_what_tests_share_concern_everything():
    for name in ("pyproject.toml", ".ci/run", "tests/made.py", "lab/__init__.py"):
        assert affected(["lab/widgets/race.py", name]) == EVERYTHING, name


def test_those_of_no_single_wing_are_named_always_or_by_what_they_try():
    assert "tests/test_own_pictures.py" in affected([])
    named = {
        "tests/test_readme.py": ("README.md", "docs/python.md", "lab/cli/terminal.py"),
        "tests/test_environments.py": ("lab/network/programs.py", "lab/system/machine.py"),
        "tests/test_any_network.py": ("lab/training/trainer.py", "lab/census/units.py"),
    }
    for test, changed in named.items():
        assert test not in affected(["lab/widgets/race.py"])
        assert all(test in affected([name]) for name in (test, *changed)), test
    assert all((ROOT / name).exists() for name in affected(["lab/errors.py"]))
