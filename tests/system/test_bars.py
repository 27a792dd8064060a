"""Progress bars say in words how long the rest takes, and never in numbers with colons."""

import contextlib
import io

from lab.system import progress_bar


def test_a_bar_shows_what_how_much_and_the_words_at_its_end() -> None:
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown), progress_bar(4, "Reading mine", "images") as bar:
        bar.set_postfix_str("about 5 s left", refresh=False)
        bar.n = 2
        bar.refresh()
    line = shown.getvalue().split("\r")[-1].strip()
    assert line.startswith("Reading mine:  50%|")
    assert line.endswith("| 2/4 images, about 5 s left")
