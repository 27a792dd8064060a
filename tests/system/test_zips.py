"""Zip files of strangers: what would fill the memory is refused before it does."""

import os
import tracemalloc
import zipfile

import pytest

from lab.errors import InputError
from lab.system import zips
from lab.system.zips import open_zip

WAYS = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_as_all_programs_make_it_is_read(tmp_path, way):
    content = os.urandom(3 * 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", way) as archive:
        archive.writestr("a/b", content)
        archive.comment = b"made by hand"
    with open_zip(tmp_path / "a.zip") as archive, archive.open("a/b") as file:
        assert file.read(len(content)) == content


@pytest.mark.parametrize("way", WAYS)
def test_what_is_packed_so_that_it_must_be_unpacked_at_once_is_refused(tmp_path, way):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", WAYS[way]) as archive:
        archive.writestr("run.json", bytes(10**6))
    with (
        pytest.raises(InputError, match=r"'run\.json' in it is packed in another way than deflate"),
        open_zip(tmp_path / "a.zip"),
    ):
        pass


@pytest.mark.parametrize("zip64", [False, True])
def test_a_long_list_of_files_is_refused_before_it_is_read(tmp_path, monkeypatch, zip64):
    if zip64:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(3000):
            archive.writestr(f"{number:0200}", b"")
    monkeypatch.setattr(zips, "MOST_LISTED", 2**19)
    tracemalloc.start()
    with pytest.raises(InputError, match="its list of files has 738,000 bytes, more than 524,288"):
        open_zip(tmp_path / "a.zip").__enter__()
    assert tracemalloc.get_traced_memory()[1] < 2**18
    tracemalloc.stop()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(InputError, match="it is not a plain file"), open_zip(tmp_path / "a.zip"):
        pass
