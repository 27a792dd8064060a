"""Collecting a class's runs: what is taken, what is there already, what is refused and why."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import signal
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from made_runs import made_up_end, made_up_epoch, write

import lab.store.writer
from lab import RunConfig, RunStore
from lab.classroom import collect as collecting
from lab.classroom.collect import OUTCOMES, Collected, collect, seeds_of
from lab.errors import InputError, StoreError
from lab.runs.run import have_the_same_bits

CONFIG = RunConfig(activation="relu", hidden=(3, 2), epochs=2, batch_size=30)


@pytest.fixture
def ada(tmp_path, tiny) -> RunStore:
    """Two finished runs of one student."""
    store = RunStore(tmp_path / "ada" / "runs")
    for seed in (1, 2):
        write(store, CONFIG.model_copy(update={"seed": seed}), tiny)
    for run in list(store):
        store.label(run.run_id, "Ada")
    return store


@pytest.fixture
def pool(tmp_path) -> RunStore:
    return RunStore(tmp_path / "class")


def outcomes(findings) -> list[tuple[str, str]]:
    return [(finding.name.partition("-")[2][:5], finding.outcome) for finding in findings]


def zipped(folder: Path, place: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{inside}{path.relative_to(folder)}")
    return place


class LateError(BaseException):
    """It waits for ever: no handler of errors may take this for one."""


@contextlib.contextmanager
def gives_up(seconds: int = 10):
    """Ends what would wait for ever."""

    def late(*_):
        raise LateError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(findings) -> str:
    (finding,) = findings
    assert finding.outcome == "refused"
    return finding.words


@pytest.mark.parametrize("level", ["store", "folder above", "one run", "zip", "zip in a folder"])
def test_runs_are_found_at_whatever_level_they_are_handed_in(ada, pool, tmp_path, level):
    place = {
        "store": lambda: ada.path,
        "folder above": lambda: ada.path.parent,
        "one run": lambda: next(iter(ada)).folder,
        "zip": lambda: zipped(ada.path, tmp_path / "a.zip", "homework/my runs/"),
        "zip in a folder": lambda: zipped(ada.path, tmp_path / "ada" / "A.ZIP").parent,
    }[level]()
    if level == "zip in a folder":
        shutil.rmtree(ada.path)
    runs = 1 if level == "one run" else 2
    assert outcomes(collect([place], pool)) == [("seed1", "taken"), ("seed2", "taken")][:runs]
    assert [run.record.label for run in pool] == ["Ada"] * runs
    assert pool.refused == {}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "no runs")
    if level != "zip in a folder":
        for kept, given in zip(pool, ada, strict=False):
            assert have_the_same_bits(kept, given)
            assert kept.weights()[0].tobytes() == given.weights()[0].tobytes()


def test_submissions_may_be_in_the_users_home(ada, pool, home):
    (home / "mine").mkdir()
    zipped(ada.path, home / "mine" / "a.zip")
    assert outcomes(collect(["~/mine"], pool)) == [("seed1", "taken"), ("seed2", "taken")]


def test_a_run_that_is_there_already_is_not_kept_twice_whoever_hands_it_in(ada, pool, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ada.path, copy)
    RunStore(copy).label("relu-seed1", "Bob")
    list(collect([ada.path], pool))
    double, other = collect([copy], pool)
    assert double == Collected(
        str(copy), double.name, "Bob", "double", f"the same as {double.name} of Ada"
    )
    assert other.outcome == "double"
    assert len(pool.runs) == 2


def test_the_same_settings_with_other_bits_are_kept_beside_and_listed(ada, pool, tmp_path, tiny):
    list(collect([ada.path], pool))
    elsewhere = RunStore(tmp_path / "elsewhere")
    config = CONFIG.model_copy(update={"seed": 1})
    with contextlib.closing(elsewhere.writer(config, tiny)) as writer:
        for epoch, here in (
            (0, 0),
            (5, 1),
            (6, 2),
        ):  # Numbers of other epochs stand for another processor's.
            event = made_up_epoch(config, epoch)
            state = dataclasses.replace(event.state, epoch=here)
            writer.add(dataclasses.replace(event, epoch=here, state=state))
        writer.end(made_up_end(config))
    (finding,) = collect([elsewhere.path], pool)
    assert (finding.outcome, finding.words) == ("beside", f"{finding.name}.2")
    assert outcomes(collect([elsewhere.path], pool)) == [("seed1", "double")]
    assert sorted(run.run_id for run in pool) == sorted(
        [finding.name, f"{finding.name}.2", next(r.run_id for r in ada if r.config.seed == 2)]
    )
    assert len(pool.variants(finding.name)) == 2


def change(folder: Path, **values) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | values))


def test_a_bad_run_is_refused_with_its_reason_and_hides_no_other(ada, pool):
    first, second = (run.folder for run in ada)
    next(first.glob("weights-*")).write_bytes(b"x")
    refused, taken = collect([ada.path], pool)
    assert (refused.outcome, taken.outcome) == ("refused", "taken")
    assert "was changed or damaged: its SHA-256 is not the recorded one" in refused.words
    assert [run.run_id for run in pool] == [second.name]


def a_link_to_nothing_that_can_be(folder: Path) -> None:
    (folder / "run.json").symlink_to("a" * 300)


def too_many_files(folder: Path) -> None:
    for number in range(13):
        (folder / str(number)).touch()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (a_link_to_nothing_that_can_be, "run.json is not a plain file"),
        (too_many_files, "it holds more than 12 files"),
    ],
)
def test_a_folder_of_one_student_that_cannot_be_read_hides_no_other(
    ada, pool, monkeypatch, spoil, words
):
    monkeypatch.setattr(collecting, "MOST_ENTRIES", 12)
    bad = ada.path.parent / "eve" / "x" / "relu-seed0-00000000"
    bad.mkdir(parents=True)
    spoil(bad)
    findings = list(collect([ada.path.parent], pool))
    assert [f.words for f in findings if f.outcome == "refused"] == [words]
    assert "relu-seed0-00000000" in findings[0].source + findings[0].name
    assert len(pool.runs) == 2


def test_a_run_in_a_zip_whose_name_is_too_long_hides_no_other(ada, pool, tmp_path):
    name = f"{'a' * 300}-seed0-00000000"
    place = with_entry(ada, tmp_path / "a.zip", f"{name}/run.json")
    findings = list(collect([place], pool))
    assert [(f.name, f.words) for f in findings if f.outcome == "refused"] == [
        (name, "File name too long")
    ]
    assert len(pool.runs) == 2


@pytest.mark.parametrize("packed", [True, False])
def test_a_full_store_is_no_fault_of_who_handed_in(ada, pool, tmp_path, monkeypatch, packed):
    place = zipped(ada.path, tmp_path / "a.zip") if packed else ada.path
    findings = collect([place], pool)
    assert next(findings).outcome == "taken"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lab.store.writer.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        next(findings)


def test_a_full_temporary_folder_is_said_to_be_full(ada, pool, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    place = zipped(ada.path, tmp_path / "a.zip")
    monkeypatch.setattr(shutil, "copyfileobj", full)
    findings = list(collect([place], pool))
    room = f"{tempfile.gettempdir()} has no room to unpack it"
    assert [f.words for f in findings] == [room] * 2


def test_a_run_whose_settings_were_changed_is_refused(ada, pool):
    folder = next(iter(ada)).folder
    settings = json.loads((folder / "run.json").read_text())["settings"]
    change(folder, settings=settings | {"learning_rate": 0.5})
    assert refusal(collect([folder], pool)) == "its id is not the one of its settings"
    assert list(pool.path.iterdir()) == []


def test_an_unfinished_run_is_refused(tmp_path, tiny, pool):
    store = RunStore(tmp_path / "runs")
    with contextlib.closing(store.writer(CONFIG, tiny)) as writer:
        writer.add(made_up_epoch(CONFIG, 0))
    assert refusal(collect([store.path], pool)) == "it has not ended: its last epoch is 0"


def test_a_symbolic_link_is_not_followed(ada, pool, tmp_path):
    (tmp_path / "links").mkdir()
    run = next(iter(ada)).folder
    (tmp_path / "links" / run.name).symlink_to(run)
    assert refusal(collect([tmp_path / "links"], pool)) == "it holds no runs"
    assert refusal(collect([tmp_path / "links" / run.name], pool)) == "it is a symbolic link"
    os.mkfifo(tmp_path / "links" / "pipe.zip")
    assert refusal(collect([tmp_path / "links"], pool)) == "it holds no runs"


def with_entry(ada: RunStore, place: Path, name: str, content: bytes = b"{}", mode=0) -> Path:
    zipped(ada.path, place)
    with zipfile.ZipFile(place, "a", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)
    return place


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("../relu-seed1-00000000/run.json", 0, "it names a file outside of itself: '../relu-seed"),
        ("/etc/relu-seed1-00000000/run.json", 0, "it names a file outside of itself: '/etc/relu"),
        ("a\\..\\run.json", 0, "it names a file outside of itself"),
        ("link", 0o120777, "it holds a symbolic link: 'link'"),
    ],
)
def test_a_zip_that_reaches_outside_is_refused_whole(ada, pool, tmp_path, name, mode, words):
    place = with_entry(ada, tmp_path / "a.zip", name, mode=mode)
    assert words in refusal(collect([place], pool))
    assert list(pool.path.iterdir()) == []


def test_a_zip_bomb_is_refused_before_it_is_unpacked(ada, pool, tmp_path, monkeypatch):
    place = with_entry(ada, tmp_path / "a.zip", "bomb", bytes(10**6))
    assert place.stat().st_size < 10**5
    monkeypatch.setattr(collecting, "MOST_BYTES", 2**16)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    assert refusal(collect([place], pool)) == "it unpacks to more than 0 GiB"
    monkeypatch.setattr(collecting, "MOST_BYTES", 2**30)
    monkeypatch.setattr(collecting, "MOST_ENTRIES", 3)
    assert refusal(collect([place], pool)) == "it holds more than 3 files"


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_that_says_it_is_small_and_unpacks_to_much_is_never_unpacked(pool, tmp_path, way):
    place, size = tmp_path / "a.zip", 50 * 2**20
    with zipfile.ZipFile(place, "w", way) as archive:
        archive.writestr("relu-seed0-00000000/run.json", bytes(size))
    lying = place.read_bytes().replace(size.to_bytes(4, "little"), (5000).to_bytes(4, "little"))
    place.write_bytes(lying)
    tracemalloc.start()
    assert "is packed in another way than deflate" in refusal(collect([place], pool))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_of_a_run_in_a_zip_nothing_is_unpacked_that_is_no_part_of_it_or_too_large(
    ada, pool, tmp_path, monkeypatch
):
    run, much = next(iter(ada)), bytes(20 * 2**20)
    shutil.copytree(ada.path, tmp_path / "kept")
    unpacked, unpack = [], zipfile.ZipFile.open

    def note(archive, entry, *rest, **named):
        unpacked.append(getattr(entry, "filename", entry))
        return unpack(archive, entry, *rest, **named)

    name = f"{run.run_id}/units-e9999.safetensors"
    place = with_entry(ada, tmp_path / "more.zip", name, much)
    monkeypatch.setattr(zipfile.ZipFile, "open", note)
    assert {f.outcome for f in collect([place], pool)} == {"taken"}
    assert unpacked
    assert name not in unpacked
    shutil.rmtree(pool.path)
    units = run.record.units[0].name
    for file, most in (("run.json", "16,777,216"), (units, "6,404")):
        (run.folder / file).write_bytes(much)
        place = zipped(ada.path, tmp_path / "large.zip")
        unpacked.clear()
        findings = list(collect([place], pool))
        (refused,) = (f for f in findings if f.outcome == "refused")
        assert refused.words == f"{file} has 20,971,520 bytes, more than {most}"
        assert f"{run.run_id}/{file}" not in unpacked
        shutil.copytree(tmp_path / "kept" / run.run_id, run.folder, dirs_exist_ok=True)


def rename_settings(folder: Path) -> None:
    settings = json.loads((folder / "run.json").read_text())["settings"]
    change(folder, settings=settings | {"learning_rate": 0.5})


def spoil_units(folder: Path) -> None:
    (folder / "units-e0000.safetensors").write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "words", "unpacked"),
    [
        (rename_settings, "its id is not the one of its settings", ["run.json"]),
        (spoil_units, "was changed or damaged", ["run.json", "units-e0000.safetensors"]),
    ],
)
def test_nothing_more_of_a_zip_is_unpacked_once_a_run_is_found_to_be_bad(
    ada, pool, tmp_path, monkeypatch, spoil, words, unpacked
):
    folder, seen, unpack = next(iter(ada)).folder, [], zipfile.ZipFile.open
    spoil(folder)
    place = zipped(folder.parent, tmp_path / "a.zip", "x/")

    def note(archive, entry, *rest, **named):
        seen.append(entry.filename)
        return unpack(archive, entry, *rest, **named)

    monkeypatch.setattr(zipfile.ZipFile, "open", note)
    refused, _ = collect([place], pool)
    assert words in refused.words
    assert [Path(name).name for name in seen if folder.name in name] == unpacked


def test_a_run_without_its_record_is_refused(ada, pool, tmp_path):
    (next(iter(ada)).folder / "run.json").unlink()
    findings = list(collect([zipped(ada.path, tmp_path / "a.zip")], pool))
    (refused,) = (f for f in findings if f.outcome == "refused")
    assert refused.words == "run.json cannot be read: No such file or directory"


def test_a_zip_that_lies_about_a_size_or_is_damaged_is_refused(ada, pool, tmp_path):
    place = zipped(ada.path, tmp_path / "a.zip")
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 0xFF
    place.write_bytes(content)
    assert {f.outcome for f in collect([place], pool)} <= {"refused", "taken"}
    assert any(f.outcome == "refused" for f in collect([place], pool))
    place.write_bytes(content[:100])
    assert "not a zip file" in refusal(collect([place], pool))


def test_what_is_no_submission_is_said(pool, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "essay.txt").write_text("I have no runs.")
    places = [tmp_path / "none", tmp_path / "empty", tmp_path / "essay.txt"]
    assert [f.words for f in collect(places, pool)] == [
        "it is not there",
        "it holds no runs",
        "it is not a zip file, or a damaged one",
    ]


def test_what_is_neither_a_folder_nor_a_plain_file_is_not_waited_for(ada, pool, tmp_path):
    os.mkfifo(tmp_path / "fifo.zip")
    places = [tmp_path / "fifo.zip", Path("/dev/zero"), ada.path]
    with gives_up():
        words = [finding.words for finding in collect(places, pool)]
    assert words[:2] == ["it is not a plain file"] * 2
    assert len(words) == 4


def test_a_students_seeds_are_theirs_alone_and_the_same_every_time():
    # sha256sum of "ada lovelace" begins with 177f85df57ad121d.
    assert seeds_of("Ada Lovelace", 2) == [1757214000, 1757214001]
    assert 1000 * (1 + 0x177F85DF57AD121D % 4_000_000) == 1757214000
    names = [f"student {number}" for number in range(200)]
    first = [seeds_of(name, 3) for name in names]
    assert first == [seeds_of(name, 3) for name in names]
    assert len({seed for seeds in first for seed in seeds}) == 600
    assert all(seeds == list(range(seeds[0], seeds[0] + 3)) for seeds in first)
    assert all(1000 <= seed < 2**32 for seeds in first for seed in seeds)
    assert seeds_of("Ada  Lovelace", 2) == seeds_of(" ada lovelace", 2)


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\x00b", "\u202e" + "a"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match="student must be a name of 1 to 100 printable char"):
        seeds_of(name, 1)


def test_the_command_gives_a_student_seeds_and_a_label_and_the_teacher_a_pool(lab_main, tmp_path):
    runs, pool = tmp_path / "runs", tmp_path / "class"
    compare = ("compare", "--activation", "relu", "--dataset", "mnist-5k", "--epochs", 1)
    compare += ("--hidden", 4, "--batch-size", 800, "--seeds", 2, "--store", runs)
    code, _, err = lab_main(*compare, "--student", "Ada")
    assert (code, err) == (0, "")
    kept = RunStore(runs).runs
    assert [run.config.seed for run in kept] == seeds_of("Ada", 2)
    assert [run.record.label for run in kept] == ["Ada", "Ada"]
    code, out, _ = lab_main("collect", runs, tmp_path / "none", "--store", pool)
    assert code == 0
    assert f"{tmp_path / 'none'}: refused: it is not there." in out
    assert f"{pool} holds 2 runs now." in out
    assert [run.run_id for run in RunStore(pool)] == [run.run_id for run in RunStore(runs)]


def test_a_name_that_is_none_is_refused_before_any_work(lab_main, tmp_path):
    code, _, err = lab_main("compare", "--student", " ", "--store", tmp_path / "runs")
    assert code == 2
    assert "student must be a name of 1 to 100 printable characters" in err
    assert not (tmp_path / "runs").exists()


def test_every_outcome_has_its_words_in_the_command():
    from lab.cli import classroom

    assert tuple(classroom.OUTCOMES) == OUTCOMES
    assert set(classroom.COLOURS) == set(OUTCOMES) - {"taken"}


def test_a_zip_with_one_flipped_byte_stops_nothing(ada, pool, tmp_path):
    place = zipped(ada.path, tmp_path / "a.zip")
    content = place.read_bytes()
    for at in range(200, len(content) - 200, len(content) // 25):
        flipped = bytearray(content)
        flipped[at] ^= 0xFF
        place.write_bytes(flipped)
        assert all(finding.outcome in OUTCOMES for finding in collect([place], pool))


def test_an_encrypted_zip_and_a_zip_of_zips_are_refused_in_words(ada, pool, tmp_path):
    place = zipped(ada.path, tmp_path / "a.zip")
    content = bytearray(place.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 8] |= 1  # The flag of the first entry that says: encrypted.
    (tmp_path / "secret.zip").write_bytes(content)
    assert "it is encrypted" in refusal(collect([tmp_path / "secret.zip"], pool))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(place, "a.zip")
    assert "zip files within are not opened" in refusal(collect([tmp_path / "outer.zip"], pool))


def test_an_impossible_accuracy_is_refused(ada, pool):
    folder = next(iter(ada)).folder
    change(folder, test_accuracy=17.0)
    assert "a share must be from 0 to 1, not 17.0" in refusal(collect([folder], pool))


def test_runs_of_one_seed_with_other_bits_count_in_no_mean_and_no_verdict(ada, pool):
    list(collect([ada.path], pool))
    folder = next(iter(ada)).folder
    change(folder, test_accuracy=0.999)
    (finding,) = collect([folder], pool)
    assert finding.outcome == "beside"
    with pytest.warns(UserWarning, match="but other bits: none of them counts"):
        (row,) = RunStore(pool.path).runs.summary().to_dict("records")
    assert row["runs"] == 1
    assert row["every_test_accuracy"] == (0.75,)
    assert set(RunStore(pool.path).runs.disputed()) == {folder.name, f"{folder.name}.2"}


def test_control_characters_of_file_names_do_nothing_on_the_screen(lab_main, tmp_path):
    place = tmp_path / "a\x1b[31m\nb\u202e"
    place.mkdir()
    _, out, _ = lab_main("collect", place, "--store", tmp_path / "class")
    assert "\x1b" not in out
    assert "a\\x1b[31m\\nb\\u202e" in out.replace("\n", "")


@pytest.mark.parametrize("name", ["a\nb", " Ada  L "])
def test_the_label_of_a_student_is_their_name_without_needless_spaces(lab_main, tmp_path, name):
    compare = ("compare", "--activation", "relu", "--dataset", "mnist-5k", "--epochs", 1)
    compare += ("--hidden", 4, "--batch-size", 800, "--seeds", 1, "--store", tmp_path / "runs")
    code, _, err = lab_main(*compare, "--student", name)
    assert (code, err) == (0, "")
    assert RunStore(tmp_path / "runs").runs[0].record.label == " ".join(name.split())


def test_a_student_says_how_many_seeds_and_not_which(lab_main, tmp_path):
    code, _, err = lab_main("compare", "--student", "A", "--seeds", "5-9", "--store", tmp_path)
    assert code == 2
    assert "seeds must be how many where student is given, not '5-9'" in err
