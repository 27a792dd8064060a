"""Class folders with PNG and JPEG images: what is read, and the sentence for what is not."""

import os

import numpy as np
import pytest
from PIL import Image

from lab.errors import InputError
from lab.experiment import folders

MOST = 10**6


def save(path, values=100, size=(4, 5), mode="L", **how):
    """Saves an image of one colour; its size is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, values).save(path, **how)
    return path


@pytest.fixture
def pets(tmp_path):
    save(tmp_path / "pets" / "dogs" / "b.png", 7)
    save(tmp_path / "pets" / "dogs" / "a.PNG", 8)
    save(tmp_path / "pets" / "cats" / "c.jpg", 9)
    return tmp_path / "pets"


def read(folder):
    [pictures], notes = folders.read((folder,), MOST)
    return pictures, notes


def test_classes_and_images_come_in_the_order_of_their_names(pets):
    found, notes = read(pets)
    assert found.classes == ("cats", "dogs")
    assert found.labels.tolist() == [0, 1, 1]
    assert found.images.shape == (3, 5, 4)
    assert found.images[:, 0, 0].tolist() == [9, 8, 7]
    assert notes == []


def test_classes_that_are_numbers_come_in_the_order_of_the_numbers(tmp_path):
    for number in (0, 2, 10):
        save(tmp_path / str(number) / "a.png", number)
    found, _ = read(tmp_path)
    assert (found.classes, found.images[:, 0, 0].tolist()) == (("0", "2", "10"), [0, 2, 10])


@pytest.mark.parametrize(
    ("mode", "value", "colour", "note"),
    [
        ("RGB", (1, 2, 3), [1, 2, 3], []),
        ("RGBA", (1, 2, 3, 50), [1, 2, 3], ["transparency left out in 1 image"]),
        ("P", 0, [0, 0, 0], []),
    ],
)
def test_one_image_in_colour_makes_all_of_them_coloured(pets, mode, value, colour, note):
    save(pets / "cats" / "d.png", value, mode=mode)
    found, notes = read(pets)
    assert found.images.shape == (4, 5, 4, 3)
    assert found.images[:, 0, 0].tolist() == [[9, 9, 9], colour, [8, 8, 8], [7, 7, 7]]
    assert notes == note


@pytest.mark.parametrize(("mode", "value", "grey"), [("1", 1, 255), ("LA", (7, 50), 7)])
def test_black_and_white_and_transparent_greys_are_grey(pets, mode, value, grey):
    save(pets / "cats" / "d.png", value, mode=mode)
    found, _ = read(pets)
    assert found.images[:, 0, 0].tolist() == [9, grey, 8, 7]


def test_a_photo_taken_with_the_camera_upright_is_turned(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    save(tmp_path / "a" / "a.jpg", size=(6, 4), exif=turned)
    save(tmp_path / "b" / "b.jpg", size=(4, 6))
    assert read(tmp_path)[0].images.shape == (2, 6, 4)


def test_hidden_files_are_passed_over_and_other_files_are_counted(pets):
    (pets / ".ipynb_checkpoints").mkdir()
    (pets / "__MACOSX").mkdir()
    (pets / "README.txt").write_text("pets")
    (pets / "cats" / ".DS_Store").write_text("")
    assert read(pets)[1] == []
    (pets / "cats" / "more.gif").write_text("")
    (pets / "dogs" / "deeper").mkdir()
    assert read(pets)[1] == ["2 other files in the class folders left out"]


def test_train_and_test_belong_together(tmp_path):
    save(tmp_path / "Train" / "a" / "a.png")
    with pytest.raises(InputError) as refused:
        folders.parts(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} must hold both train/ and test/, or class folders alone, not only Train/: "
        f"give it the other, or name {tmp_path / 'Train'} itself."
    )
    save(tmp_path / "test" / "a" / "a.png")
    assert folders.parts(tmp_path) == (tmp_path / "Train", tmp_path / "test")


def test_the_classes_for_testing_are_among_those_for_training(tmp_path):
    for place in ("train/a", "train/b", "test/b", "test/c"):
        save(tmp_path / place / "x.png")
    with pytest.raises(InputError, match=r"test must hold only the classes of train/, not c: "):
        folders.read(folders.parts(tmp_path), MOST)
    (tmp_path / "test" / "c" / "x.png").unlink()
    (tmp_path / "test" / "c").rmdir()
    (_, test), _ = folders.read(folders.parts(tmp_path), MOST)
    assert (test.classes, test.labels.tolist()) == (("a", "b"), [1])


def few(folder):
    (folder / "dogs" / "a.PNG").unlink()
    (folder / "dogs" / "b.png").unlink()


def alone(folder):
    few(folder)
    (folder / "dogs").rmdir()


def truncated(folder):
    path = folder / "cats" / "c.jpg"
    path.write_bytes(path.read_bytes()[:-200])


BAD = {
    "one class": (alone, "pets must hold 2 to 10,000 folders, one for each class, with PNG or "
                  "JPEG images in them, not 1 folder: name the folder that holds"),
    "an empty class": (few, "dogs must hold PNG or JPEG images, not none: put some of its class"),
    "another size": (lambda f: save(f / "dogs" / "c.png", size=(6, 5)),
                     "c.png must have 4 × 5 pixels, as "),
    "too small": (lambda f: save(f / "cats" / "a.png", size=(3, 5)),
                  "a.png must have 4 to 1,024 pixels a side, not 3 × 5: make it smaller or larger"),
    "too large": (lambda f: save(f / "cats" / "a.png", size=(4, 1025)), "not 4 × 1,025: make it"),
    "16 bits": (lambda f: save(f / "cats" / "a.png", mode="I;16"),
                "a.png must have 8 bits a pixel and colour, not more (Pillow's mode I;16): save"),
    "junk": (lambda f: (f / "cats" / "a.png").write_bytes(b"junk"),
             "a.png is broken: expected a PNG or JPEG image ("),
    "empty": (lambda f: (f / "cats" / "a.png").write_bytes(b""), "a.png is broken: expected a PNG"),
    "truncated": (truncated, "c.jpg is broken: expected a PNG or JPEG image ("),
    "another format": (lambda f: save(f / "cats" / "a.png", format="GIF"), "a.png is broken: "),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_one_sentence_that_names_it(pets, kind):
    spoil, sentence = BAD[kind]
    spoil(pets)
    with pytest.raises(InputError) as refused:
        read(pets)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_pixels_than_memory_may_take_are_refused_before_they_are_read(pets):
    with pytest.raises(InputError) as refused:
        folders.read((pets,), 59)
    assert str(refused.value) == (
        f"{pets} must hold at most 59 bytes of pixels, not 3 images of 5×4: make them fewer or "
        f"smaller."
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_the_images_does_not_block(pets):
    os.mkfifo(pets / "cats" / "pipe.png")
    assert read(pets)[1] == ["1 other file in the class folders left out"]


def test_a_folder_of_files_alone_is_one_sentence(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"must hold 2 to 10,000 folders, .* not 0 folders: "):
        folders.read(folders.parts(tmp_path), MOST)
