"""Writing a file in one step."""

import os

import pytest

from lab.files import replacing


def test_a_file_takes_the_place_of_another_once_it_is_whole(tmp_path):
    place = tmp_path / "a"
    place.write_bytes(b"old")
    with replacing(place) as file:
        file.write(b"new")
        assert place.read_bytes() == b"old"
    assert place.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_what_is_there_stays_if_the_new_file_cannot_be_finished(tmp_path):
    place = tmp_path / "a"
    place.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(place) as file:
        file.writelines([b"half", None])
    assert place.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
