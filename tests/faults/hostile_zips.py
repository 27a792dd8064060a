"""Zip files that somebody made to do harm, handed in among a class's runs.

`hostile.py zip FOLDER FIRST COUNT` makes and collects them.
"""

import contextlib
import os
import random
import shutil
import stat
import struct
import tempfile
import warnings
import zipfile
from pathlib import Path

import hostile
from made import ODD_NAMES

from lab import RunStore
from lab.classroom.collect import OUTCOMES, collect

PLACES = ("", "", "runs/", "homework of Ada/my runs/", "a/" * 100, "π/", "./")
OUTSIDE = (
    "../evil",
    "a/../../evil",
    "/evil",
    "\\evil",
    "..\\evil",
    "C:/evil",
    "C:evil",
    "relu-seed0-00000000/../../run.json",
    "/relu-seed0-00000000/run.json",
    "../relu-seed0-00000000/run.json",
)
KINDS = (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFSOCK)
BIG = (0, 1, 7, 2**8, 2**15, 2**16 - 1, 2**24, 2**31, 2**32 - 1)
# Of each header: its mark, its length, and its fields as (place, bytes).
HEADERS = (
    (b"PK\3\4", 30, ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
    (b"PK\1\2", 46, ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2),
                     (34, 2), (38, 4), (42, 4))),
    (b"PK\5\6", 22, ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
)  # fmt: skip


def pack(dice: random.Random, folder: Path, path: Path) -> None:
    """Packs a store as a student would."""
    place = dice.choice(PLACES)
    way = dice.choice((zipfile.ZIP_DEFLATED,) * 5 + (zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(path, "w", way) as archive:
        for file in sorted(folder.rglob("*")):
            name = str(file.relative_to(folder)).encode(errors="replace").decode()
            archive.write(file, f"{place}{name}")


def bend_header(dice: random.Random, path: Path) -> None:
    """Changes a field of a header: a size, a place, a way of packing, a flag."""
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 1, 2, 4))):
        mark, length, fields = dice.choice(HEADERS)
        at = [i for i in range(len(content) - length) if content[i : i + 4] == mark]
        if at:
            place, size = dice.choice(fields)
            value = dice.choice((*BIG, 8, 9, 12, 14, 93, 99)) % 256**size
            start = dice.choice(at) + place
            content[start : start + size] = value.to_bytes(size, "little")
    path.write_bytes(content)


def flip(dice: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 2, 8, 100))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def cut(dice: random.Random, path: Path) -> None:
    content = path.read_bytes()
    at = dice.randrange(len(content) + 1)
    front = dice.choice((b"", b"", dice.randbytes(100), content))
    path.write_bytes(front + content[:at] + dice.choice((b"", content[at:], b"\0" * 10_000)))


def add_entry(dice: random.Random, path: Path) -> None:
    """Adds a file that reaches outside, has an odd name or kind, or doubles another."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        known = dice.choice(archive.namelist())
        folder = known.rpartition("/")[0]
        odd = dice.choice(ODD_NAMES).encode(errors="replace").decode()[:9000]
        name = dice.choice((dice.choice(OUTSIDE), known, f"{folder}/{odd}", f"{odd}/run.json"))
        entry = zipfile.ZipInfo(name.replace("\0", "0") or "x")
        if dice.random() < 0.4:
            entry.filename = f"{folder}/{dice.choice(('run.json', 'units-e0009.safetensors'))}"
            entry.external_attr = (dice.choice(KINDS) | 0o777) << 16
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr(entry, dice.choice((b"/etc/passwd", b"{}", b"x" * 10**5)))


def add_bomb(dice: random.Random, path: Path) -> None:
    """Adds files to a run that are 1,000 times as large as they are packed."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        folder = dice.choice(archive.namelist()).rpartition("/")[0]
        for number in range(dice.choice((1, 3))):
            archive.writestr(f"{folder}/units-e{9000 + number}.safetensors", bytes(100 * 2**20))


def replace_with_bomb(dice: random.Random, path: Path) -> None:
    """Makes one file of a run huge, or many files of nothing."""
    packed = path.with_suffix(".old")
    path.rename(packed)
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = dice.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, bytes(100 * 2**20) if name == chosen else old.read(name))
        for number in range(dice.choice((0, 60_000))):
            new.writestr(f"{number}", b"")
    packed.unlink()


def overlap(dice: random.Random, path: Path) -> None:
    """Lets many entries of the list share the same packed bytes."""
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")
    count, size, start = struct.unpack("<HII", content[end + 10 : end + 20])
    times = dice.choice((2, 50, 65_000 // count))
    listed = content[start : start + size] * times
    total = struct.pack("<HHII", count * times, count * times, len(listed), start)
    path.write_bytes(content[:start] + listed + content[end : end + 8] + total + b"\0\0")


def nest(dice: random.Random, path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            dice.choice(("a.zip", "relu-seed0-00000000/run.json", "run.json")), content
        )


def no_file(dice: random.Random, path: Path) -> None:
    path.unlink()
    make = (os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p), lambda p: os.symlink(p, p))
    dice.choice(make)(path)


WAYS = [bend_header] * 8 + [flip] * 3 + [cut] * 2 + [add_entry] * 8 + [overlap, nest, no_file]


def lie(dice: random.Random, path: Path) -> None:
    """Makes a bomb that says it is small."""
    way = dice.choice(hostile.BOMB_WAYS)
    path.write_bytes(hostile.bomb("relu-seed0-00000000/run.json", way))


def list_many(dice: random.Random, path: Path) -> None:
    """Lists a million files, all of them the first."""
    content = path.read_bytes()
    at = content.index(b"PK\1\2")
    sizes = struct.unpack("<HHH", content[at + 28 : at + 34])
    listed = content[at : at + 46 + sum(sizes)] * dice.choice((200_000, 10**6))
    total = struct.pack("<HHII", 65_535, 65_535, len(listed), at)
    path.write_bytes(content[:at] + listed + b"PK\5\6\0\0\0\0" + total + b"\0\0")


RARE = (add_bomb, replace_with_bomb, lie, list_many)  # They take a second to make.


def zip_case(number: int, base: list[Path], folder: Path, watch: hostile.Watch) -> list[str]:
    """Hands in a hostile zip file beside what may be spoilt runs; what is taken can be read."""
    dice = random.Random(number)
    for name in ("made", "handed-in", "pool", "temp"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    tempfile.tempdir = str(folder / "temp")
    watch.free = (f"{folder}/pool", f"{folder}/temp")
    ways = _make(dice, number, base, folder)
    places = dice.choice(([folder / "handed-in"], [folder / "handed-in" / "Ada.ZIP"]))
    before = _listed(folder)
    outcomes: list[str] = []
    found = hostile.watched(watch, folder, lambda: outcomes.extend(_collected(places, folder)))
    if not outcomes or not set(outcomes) <= set(OUTCOMES):
        found.append(f"the outcomes are {outcomes}")
    if (after := _listed(folder)) != before:
        found.append(f"changed: {sorted(after ^ before)[:5]}")
    if left := os.listdir(folder / "temp"):
        found.append(f"left behind: {left}")
    pool = RunStore(folder / "pool")
    if pool.refused or len(pool.runs) != sum(o in ("taken", "beside") for o in outcomes):
        found.append(f"{outcomes} led to {len(pool.runs)} runs and {pool.refused}")
    return [f"zip {number} ({', '.join(ways)}): {one}" for one in found]


def _make(dice: random.Random, number: int, base: list[Path], folder: Path) -> list[str]:
    for chosen in dice.sample(base, dice.choice((1, 2))):
        shutil.copytree(chosen, folder / "made" / chosen.name)
    ways = []
    if dice.random() < 0.4:
        spoil = dice.choice([way for way in hostile.WAYS if way is not hostile.spoil_files])
        spoil(dice, next((folder / "made").iterdir()))
        ways.append(spoil.__name__)
    path = folder / "handed-in" / "Ada.ZIP"
    pack(dice, folder / "made", path)
    chosen = RARE if number % 250 == 7 else WAYS
    spoilt = sorted(dice.choices(chosen, k=dice.choice((1, 1, 2))), key=lambda w: w is no_file)
    for nth, way in enumerate(spoilt):
        with contextlib.suppress(*[Exception] * nth):  # The second may find nothing to spoil.
            way(dice, path)
            ways.append(way.__name__)
    return ways


def _collected(places: list[Path], folder: Path) -> list[str]:
    findings = list(collect(places, RunStore(folder / "pool")))
    assert all(finding.words for finding in findings)
    return [finding.outcome for finding in findings]


def _listed(folder: Path) -> set[tuple[str, int]]:
    """What stands outside of where files may be made, with each file's size."""
    known = (path for path in folder.rglob("*") if not path.is_relative_to(folder / "pool"))
    return {(str(path), path.lstat().st_size) for path in known if path.is_file()}
