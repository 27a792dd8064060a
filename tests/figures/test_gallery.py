"""The page of all figures of a folder."""

from pathlib import Path

from lab.figures.gallery import gallery, write_gallery


def save(folder: Path, name: str, words: str, *endings: str) -> None:
    (folder / f"{name}.txt").write_text(words, encoding="utf-8")
    for ending in endings:
        (folder / f"{name}{ending}").touch()


def test_each_figure_stands_above_its_words_and_moving_ones_move(tmp_path):
    save(tmp_path, "life-maps", "A row for\neach neuron.", ".png", ".svg")
    save(tmp_path, "race", "Curves grow.", ".gif")
    save(tmp_path, "notes", "This belongs to no picture.")
    _, maps, race = gallery(tmp_path).split("\n\n## ")
    assert maps.startswith("life maps\n\n![life maps](life-maps.svg)\n\n")
    assert "<p>A row for each neuron.</p>" in maps
    assert "![race](race.gif)" in race
    assert "no picture" not in gallery(tmp_path)


def test_words_are_text_whatever_they_hold(tmp_path):
    save(tmp_path, "odd", "<script>alert(1)</script>\n\n# A title", ".svg")
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt; # A title</p>" in gallery(tmp_path)


def test_a_readme_that_is_no_gallery_stays(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# My own notes", encoding="utf-8")
    write_gallery(tmp_path)
    assert page.read_text(encoding="utf-8") == "# My own notes"
    page.unlink()
    write_gallery(tmp_path)
    assert page.read_text(encoding="utf-8") == gallery(tmp_path)
