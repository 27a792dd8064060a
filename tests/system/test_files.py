"""Writing a file in one step."""

import os
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.system.files import at_home, replacing


def test_a_tilde_at_the_beginning_is_the_users_home(home):
    assert at_home("~/runs") == home / "runs"
    assert at_home("~") == home
    assert [str(at_home(path)) for path in ("runs/~", "a~b")] == ["runs/~", "a~b"]


@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_is_no_path(kind):
    for address in ("s3://bucket/runs", "file:///home/runs", "https://a.invalid/r.html"):
        with pytest.raises(
            InputError, match=r"^It must be here, and not an address, such as \w+:/"
        ):
            at_home(kind(address), "It must be here,")
    for path in ("C:/runs", "C:\\runs", "a:b", "/x/s3:/runs"):
        assert at_home(kind(path)) == Path(path)


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
