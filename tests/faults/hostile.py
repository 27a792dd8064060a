"""A worker that reads run folders which someone made to do harm, and tells what went wrong.

`hostile.py KIND FOLDER FIRST COUNT` makes and reads the cases FIRST to FIRST + COUNT - 1 of a kind
and prints what failed as JSON. Case n is the same every time.
"""

import contextlib
import copy
import functools
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

# ruff: noqa: E402
from made import ODD_NAMES
from made_runs import made_up_end, made_up_epoch
from safetensors.numpy import load, save

import lab.store.writer
import lab.system.machine
from lab import Dataset, LabError, RunConfig, Runs, RunStore, plots
from lab.experiment import own_files, sources
from lab.plots import canvas
from lab.runs.run import Run

MEGABYTES, SECONDS, PATIENCE = 256, 2.0, 15
BOMB_WAYS = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
BOMB = 400 * 2**20 + 1
TABLES = ("runs", "epochs", "layers", "units", "lives", "flows", "tasks", "summary", "results")
BY_RUN = TABLES[:4]
ODD = (
    None, True, False, 0, -1, 1, 2, 1e308, -1e308, 5e-324, 2**31, 2**63, 2**64, 10**400, -(10**400),
    0.5, "NaN", "Infinity", "-Infinity", "1e999", [], {}, [[]], [None], {"self": 1}, "relu", "elu",
    "os.system", "__import__('os')", "lab.store", "running", "finished", "diverged", [10**9],
    [8192] * 64, [1] * 65, "all", {"__class__": "Record"}, "0" * 64, "g" * 64, 10_000, 70_000,
)  # fmt: skip
RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 5000, "1" + "0" * 5000 + ".5",
    "[" * 100_000, '{"a":' * 50_000, "[" * 500 + "]" * 500, '"\\ud800"', '"\\u0000"', "1.5.5",
    "0x1", "'single'", "undefined", "// comment", "1e-99999", "-0.0", "-0",
    "[" + "1," * 99_999 + "1]",
    '"' + "y" * 10_000 + '"', '{"a":1,"a":2}', "[" + "[]," * 20_000 + "[]]",
)  # fmt: skip


def prepare(folder: Path) -> list[Path]:
    """Records the runs that the cases change: finished, unfinished, and of a user's function."""
    source = "def bump(z):\n    return z * 0.5\n"
    digest = hashlib.sha256(source.encode()).hexdigest()
    common = {"hidden": (3, 2), "epochs": 2, "batch_size": 30}
    configs = [
        RunConfig(activation="leaky_relu=0.1", keep_weights="every", **common),
        RunConfig(activation="relu", **common),
        RunConfig(activation="elu", **common),
        RunConfig(activation="bump", source_sha256=digest, **common),
    ]
    made, folders = custom_source(source), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab.machine, "threads_per_operation", lambda: 1)
        for name in ("COMMIT_SECONDS", "RESUME_SECONDS"):
            patch.setattr(lab.store.writer, name, 0.0)
        own = lambda config: made if config.source_sha256 else None  # noqa: E731
        patch.setattr(lab.store.writer, "_own_activation", own)
        for number, config in enumerate(configs):
            folders.append(record(config, RunStore(folder), ended=number != 2))
    return folders


def record(config: RunConfig, store: RunStore, ended: bool) -> Path:
    with contextlib.closing(store.writer(config, blank())) as writer:
        for epoch in range(config.epochs + 1 if ended else 2):
            writer.add(made_up_epoch(config, epoch))
        if ended:
            writer.end(made_up_end(config))
    return writer.folder


def blank() -> Dataset:
    images, labels = np.zeros((100, 28, 28), np.uint8), np.arange(100, dtype=np.uint8) % 10
    return Dataset("blank", images, labels, images, labels)


def custom_source(source: str):
    from lab.activations.source import OwnActivation

    return OwnActivation(source=source, sup_gate=0.5)


# How a folder is spoilt


def spoil_tree(dice: random.Random, raw: dict) -> None:
    """Changes, adds or removes something at a random place of a record."""
    tree, key = raw, dice.choice(sorted(raw))
    while isinstance(tree[key], dict | list) and tree[key] and dice.random() < 0.8:
        tree = tree[key]
        key = dice.choice(sorted(tree)) if isinstance(tree, dict) else dice.randrange(len(tree))
    value = copy.deepcopy(dice.choice(dice.choice((ODD, ODD_NAMES))))
    action = dice.random()
    if action < 0.15:
        del tree[key]
    elif action < 0.25 and isinstance(tree, dict):
        tree[dice.choice(ODD_NAMES)] = value
    elif action < 0.35 and isinstance(tree, list):
        tree.extend([copy.deepcopy(tree[key])] * dice.choice((1, 3, 2000)))
    else:
        tree[key] = value


def spoil_record(dice: random.Random, folder: Path) -> None:
    path = folder / "run.json"
    raw = json.loads(path.read_bytes())
    for _ in range(dice.randint(1, 3)):
        if raw:
            spoil_tree(dice, raw)
    path.write_text(json.dumps(raw, ensure_ascii=dice.random() < 0.9), errors="surrogatepass")


def spoil_names(dice: random.Random, folder: Path) -> None:
    path = folder / "run.json"
    raw = json.loads(path.read_bytes())
    for place in dice.sample(("label", "dataset", "created", "processor", "versions"), 2):
        name = dice.choice(ODD_NAMES)
        raw[place] = {name: dice.choice(ODD_NAMES)} if place == "versions" else name
    if raw["own_activation"]:
        source = raw["own_activation"]["source"] + dice.choice(ODD_NAMES)
        raw["own_activation"]["source"] = source
        hashed = hashlib.sha256(source.encode(errors="replace")).hexdigest()
        raw["settings"]["source_sha256"] = dice.choice((hashed, "0" * 64, None))
        raw["settings"]["activation"] = dice.choice(("bump", "relu", "system", "os.system", "eval"))
    path.write_text(json.dumps(raw))


def spoil_text(dice: random.Random, folder: Path) -> None:
    """Puts odd text where a value stands, doubles a line, or changes the encoding."""
    path = folder / "run.json"
    text = path.read_text()
    lines = text.split("\n")
    action = dice.randrange(5)
    if action == 0:
        lines.insert(0, lines[dice.randrange(len(lines))])
    elif action == 1:
        at = dice.randrange(1, len(lines) - 1)
        lines.insert(at, lines[at])
    elif action in (2, 3):
        at = dice.randrange(1, len(lines) - 1)
        key, colon, _ = lines[at].partition(": ")
        lines[at] = f"{key}{colon}{dice.choice(RAW)},"
    content = "\n".join(lines).encode(dice.choice(("utf-8",) * 9 + ("utf-16",)))
    if action == 4:
        content = dice.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b" " * 1000)) + content
    path.write_bytes(content)


def spoil_size(dice: random.Random, folder: Path) -> None:
    """Makes a record of megabytes, within what the size allows."""
    much = dice.choice((b"[],", b"1,", b'"",', b"1.5,", b"{},", b"null,"))
    times = 15 * 2**20 // len(much)
    keys = b",".join(b'"%d":0' % n for n in range(300_000))
    form = dice.choice((b'{"epochs":[%s1]}', b'{"versions":[%s1]}', b"[%s1]", b"{%%s%s}" % keys))
    (folder / "run.json").write_bytes(form % (b"" if keys in form else much * times))


def flip_bits(dice: random.Random, folder: Path) -> None:
    path = dice.choice(sorted(folder.glob("*.*")))
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def cut(dice: random.Random, folder: Path) -> None:
    path = dice.choice(sorted(folder.glob("*.*")))
    content = path.read_bytes()
    at = dice.randrange(len(content) + 1)
    extra = dice.choice((b"", b"", dice.randbytes(50), content, b"\0" * 10_000))
    path.write_bytes(content[:at] + extra)


def header_of(dice: random.Random, content: bytes) -> bytes:
    """Writes a safetensors header that says what is not so."""
    size = struct.unpack("<Q", content[:8])[0]
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    name = dice.choice([n for n in header if n != "__metadata__"])
    one = header[name]
    big = dice.choice((0, -1, 2**31, 2**62, 2**63, 2**64, 1.5, "3", None, 10**30))
    action = dice.randrange(9)
    if action == 0:
        one["shape"] = dice.choice(([big], [big, big], [1] * 10_000, [0], [2**32, 2**32], [], big))
    elif action == 1:
        one["dtype"] = dice.choice(
            ("F64", "F16", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "O", "C64", "F4", 7, None)
        )
    elif action == 2:
        one["data_offsets"] = dice.choice(([big, big], [0, big], [8, 0], [], None, [0, 0, 0]))
    elif action == 3:
        header[dice.choice(ODD_NAMES[:22])] = copy.deepcopy(one)
    elif action == 4:
        header["__metadata__"] = dice.choice(({"a": "b" * 100_000}, {"a": {"b": 1}}, [], 1))
    elif action == 5:
        del header[name]
    elif action == 6:
        header = dice.choice(([], {}, None, "x", {name: one}))
    text = json.dumps(header).encode()
    if action == 7:
        text = dice.choice((b"[" * 100_000, text[:-1] + b"," + text[1:], text[:20], b"\xff" * 30))
    length = (
        len(text) if action != 8 else dice.choice((0, 1, 2**20, 2**31, 2**40, 2**63, 2**64 - 1))
    )
    return struct.pack("<Q", length) + text + body


def spoil_arrays(dice: random.Random, folder: Path) -> None:
    """Changes a file of arrays and writes its new SHA-256 into the record."""
    path = dice.choice(sorted(folder.glob("*.safetensors")))
    content = path.read_bytes()
    if dice.random() < 0.6:
        content = header_of(dice, content)
    else:
        arrays = load(content)
        name = dice.choice(sorted(arrays))
        array = arrays[name]
        odd = dice.choice((np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -1, 2**31 - 1))
        action = dice.randrange(4)
        if action == 0:
            with np.errstate(all="ignore"):
                arrays[name] = np.full(array.shape, odd, np.float64).astype(array.dtype)
        elif action == 1:
            arrays[name] = array.astype(dice.choice((np.float64, np.int8, np.float16, np.bool_)))
        elif action == 2:
            arrays[name] = np.ascontiguousarray(array[..., :1])
        else:
            with np.errstate(all="ignore"):
                arrays = {
                    n: np.full_like(a, odd if a.dtype.kind == "f" else 0) for n, a in arrays.items()
                }
        content = save(arrays)
    path.write_bytes(content)
    text = (folder / "run.json").read_text()
    raw = json.loads(text)
    for file in [*raw["units"], *raw["weights"], raw["confirmed"], raw["resume"]]:
        if file and file["name"] == path.name:
            file["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "run.json").write_text(json.dumps(raw))


def spoil_files(dice: random.Random, folder: Path) -> None:
    """Puts links, pipes, devices, folders, holes and odd names where files should be."""
    secret = folder.parents[1] / "secret"
    path = dice.choice(sorted(folder.glob("*.*")))
    twin = folder / dice.choice((path.name, path.name, "lock", "run.json.tmp", "other.safetensors"))
    if twin.exists():
        twin.unlink()
    action = dice.randrange(9)
    if action == 0:
        twin.symlink_to(dice.choice((secret, "/etc/passwd", "/dev/zero", "/nowhere", twin, folder)))
    elif action == 1:
        os.mkfifo(twin)
    elif action == 2 and os.geteuid() == 0:
        os.mknod(twin, 0o20666, os.makedev(1, 5))  # /dev/zero
    elif action == 3:
        twin.mkdir()
    elif action == 4:
        with twin.open("wb") as file:
            file.truncate(dice.choice((2**20, 2**24, 2**24 + 1, 2**33)))
    elif action == 5:
        with socket.socket(socket.AF_UNIX) as one, contextlib.suppress(OSError):
            one.bind(str(twin))
    elif action == 6:
        with contextlib.suppress(OSError):
            os.link(secret, twin)
    elif action == 7:
        (folder / os.fsdecode(b"\xff\xfe\x1b[2J")).write_bytes(b"x")
        (folder / "__init__.py").write_text("raise SystemExit")
        (folder / "weights.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    else:
        moved = folder.parents[1] / "moved"
        shutil.rmtree(moved, ignore_errors=True)
        moved.unlink(missing_ok=True)  # What was moved before may have been a link.
        shutil.move(folder, moved)
        folder.symlink_to(moved)


def rename(dice: random.Random, folder: Path) -> None:
    name = dice.choice(
        ("relu-seed0-00000000", "...", "a b", "<b>x", "relu-seed0-ffffffff.2", "-rf", "x" * 200,
         os.fsdecode(b"relu\xff"), "\x1b[2J", "%s", "$x$", "\u202erun")
    )  # fmt: skip
    shutil.move(folder, folder.parent / name)


WAYS = (
    [spoil_record] * 6 + [spoil_names] * 4 + [spoil_text] * 4 + [flip_bits] * 2 + [cut] * 2
    + [spoil_arrays] * 6 + [spoil_files] * 4 + [rename]
)  # fmt: skip


def put_beside(dice: random.Random, store: Path) -> None:
    """Puts something into a store that is no run: a link, a file, a pipe, a deep folder."""
    path = store / dice.choice(("relu-seed0-00000001", "elu-seed1-ffffffff.3", "x", "a b", "x.zip"))
    inside = store / "relu-seed9-00000009" / "run.json"
    inside.parent.mkdir()
    make = (
        lambda: path.symlink_to("a" * 300),
        lambda: path.symlink_to(path),
        lambda: path.symlink_to(store),
        lambda: path.write_bytes(b"x"),
        lambda: os.mkfifo(path),
        lambda: path.joinpath(*"a" * 500).mkdir(parents=True),
        lambda: inside.symlink_to("a" * 300),
        lambda: inside.mkdir(),
        lambda: os.mkfifo(inside),
    )
    with contextlib.suppress(FileExistsError):  # The spoilt run may have taken its name.
        dice.choice(make)()


# What watches the reader


class Watch:
    """An audit hook: while it is on, it notes what reading must never do."""

    NEVER = ("exec", "compile", "subprocess", "os.system", "os.exec", "os.posix_spawn", "os.fork",
             "socket", "pty", "ctypes", "code.__new__", "marshal", "pickle",
             "webbrowser")  # fmt: skip
    CHANGES = ("os.remove", "os.rename", "os.truncate", "os.chmod", "os.symlink", "os.link",
               "os.mkdir", "os.rmdir", "shutil")  # fmt: skip

    def __init__(self) -> None:
        self.on, self.inside, self.seen = False, "", []
        self.free: tuple[str, ...] = ()  # The folders in which files may be made and changed.
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event == "open":
            path = arguments[0]
            if not isinstance(path, str | bytes | os.PathLike):
                return
            if arguments[1] is None and self.free and not os.path.lexists(path):
                return  # A name in a folder that is being removed, which the event does not tell.
            path = os.path.abspath(os.fsdecode(path))
            if not path.startswith((self.inside, *LIBRARIES)) and path != "/proc/self/status":
                self.seen.append(f"open {path}")
        elif event == "compile" and arguments[1] == "<unknown>":
            return  # NumPy reads a header with ast.literal_eval, which parses and runs nothing.
        elif event.startswith(self.CHANGES) and self.is_free(arguments):
            return
        elif event == "os.mkdir" and os.path.isdir(arguments[0]):
            return  # It is there, so nothing is made.
        elif event.startswith((*self.NEVER, *self.CHANGES)) or event == "import":
            self.seen.append(f"{event} {str(arguments)[:200]}")

    def is_free(self, arguments: tuple) -> bool:
        """Tells whether all paths that an event names lie where files may be changed."""
        folders = [os.readlink(f"/proc/self/fd/{a}") for a in arguments[1:] if _is_folder(a)]
        at = folders[0] if folders else os.getcwd()
        paths = [os.path.join(at, os.fsdecode(a)) for a in arguments if isinstance(a, str | bytes)]
        return bool(self.free) and all(os.path.abspath(p).startswith(self.free) for p in paths)

    def take(self) -> list[str]:
        seen, self.seen = self.seen, []
        return seen


def _is_folder(argument: object) -> bool:
    return type(argument) is int and argument > 2 and os.path.isdir(f"/proc/self/fd/{argument}")


LIBRARIES = tuple(
    str(path)
    for path in (
        Path(sys.prefix).resolve(),
        Path(np.__file__).parents[1],
        Path(os.__file__).parent,
        "/usr/share/fonts",
    )
)  # Fonts and templates of the libraries that draw and print.


def peak() -> float:
    """The most memory that this process had since the last `forget_peak`, in MB."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def read_all(store_path: Path, drawn: bool) -> set[str]:
    """Reads a store as tables, front ends and the command line do; returns the runs it lists."""
    store = RunStore(store_path)
    assert all(isinstance(reason, str) and reason for reason in store.refused.values())
    runs = store.runs
    runs._repr_html_()
    for run in runs:
        read_run(run, drawn)
    tables = {name: getattr(runs, name)() for name in TABLES}
    listed = [set(tables[name].run_id) for name in BY_RUN]
    return set.intersection({run.run_id for run in runs}, *listed)


def read_run(run: Run, drawn: bool) -> None:
    whole = run.is_whole()
    run.size(), run.title, run.seconds, run.status, run.kept_epochs
    for epoch in run.kept_epochs:
        with contextlib.suppress(LabError):
            run.weights(epoch)
    with contextlib.suppress(LabError):
        run.resume_arrays()
    if whole and drawn:
        for ax in (plots.learning_curves(Runs([run])), plots.dead_neurons(Runs([run]), 1)):
            canvas.png(ax.figure)
            canvas.svg(ax.figure, run.title)
        plots.life_map(run, 1)


# Data sets


def prepare_dataset(folder: Path) -> Path:
    images, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    folder.mkdir(parents=True)
    path = folder / "mnist.npz"
    sources.write_npz(path, (images, labels, images, labels))
    return path


def spoil_dataset(dice: random.Random, path: Path) -> None:
    """Changes an archive of arrays: bits, length, object arrays, huge shapes, links."""
    action = dice.randrange(9)
    content = bytearray(path.read_bytes())
    if action == 8:
        arrays = dict(np.load(path))
        odd = with_odd_part(dice, arrays), bomb("x_train.npy", dice.choice(BOMB_WAYS))
        path.write_bytes(dice.choice(odd))
    elif action == 7:
        path.unlink()
        dice.choice((os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p)))(path)
    elif action <= 2:
        for _ in range(dice.choice((1, 2, 8))):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
    elif action == 3:
        path.write_bytes(content[: dice.randrange(len(content))])
    else:
        arrays = dict(np.load(path))
        part = dice.choice(sorted(arrays))
        odd = (
            np.array([{"a": 1}, os.system], dtype=object),
            arrays[part].astype(dice.choice((np.float64, np.int64, np.bool_, "S3", "U2"))),
            arrays[part][:0],
            np.array(7, np.uint8),
            np.zeros(5, [("a", "u1"), ("b", "f8")]),
            np.zeros((1,) * 30, np.uint8),
        )
        arrays[part] = dice.choice(odd)
        if action == 4:
            del arrays[part]
        np.savez_compressed(path, **arrays)
        if action == 5:
            spoil_npy_header(dice, path)


@functools.cache
def bomb(name: str, way: int) -> bytes:
    """A zip file of a few bytes, which says that it holds a few more, and holds 400 MB."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", way) as archive:
        archive.writestr(name, bytes(BOMB))
    return understated(content.getvalue(), BOMB)


def understated(content: bytes, size: int) -> bytes:
    """Lets both headers of a zip file's only file say that it is small."""
    return content.replace(size.to_bytes(4, "little"), (5000).to_bytes(4, "little"))


def with_odd_part(dice: random.Random, arrays: dict) -> bytes:
    """Makes an archive of which one file is no array, or very many images."""
    part = dice.choice(sorted(arrays))
    odd = dice.choice((lambda: b"hello", bytes, lambda: bytes(10**6), many_images))()
    content = io.BytesIO()
    np.savez_compressed(content, **{name: arrays[name] for name in arrays if name != part})
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{part}.npy", odd)
    return content.getvalue()


def many_images() -> bytes:
    np.save(content := io.BytesIO(), np.zeros((250_000, 28, 28), np.uint8))
    return content.getvalue()


def spoil_npy_header(dice: random.Random, path: Path) -> None:
    shape = dice.choice(
        ("(10**9,)", "(9000000000, 28, 28)", "(-1,)", "__import__('os')", "(1,",
         "(1099511627776, 0)", f"({10**30},)", "(250000, 28, 28)")
    )  # fmt: skip
    descr = dice.choice(("|u1", "|O", "<f8", "|V9999999999", "m8"))
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * dice.choice((0, 10, 50_000)) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in ("x_train", "y_train", "x_test", "y_test"):
            magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) % 65536)
            zeros = dice.choice((100, 100, 100, 300 * 10**6)) if part == "y_test" else 100
            archive.writestr(f"{part}.npy", magic + header + bytes(zeros))


def read_dataset(path: Path) -> None:
    os.environ["LAB_DATA_DIR"] = str(path.parent)
    with contextlib.suppress(LabError):
        own_files.load(path, "my")
    sources._load_npz(path)
    sources.load_dataset("mnist")


# The cases


class TooLateError(BaseException):
    """No Exception, which the lab may take for a fault of what it reads."""


rang: list[str] = []


def too_late(*_) -> None:
    rang.append(f"it waits for ever: {PATIENCE} s")
    raise TooLateError(rang[-1])


def watched(watch: Watch, inside: Path, do) -> list[str]:
    """Does something that may raise LabError alone, and returns what was wrong with it."""
    wrong = []
    rang.clear()
    forget_peak()
    before, began = peak(), time.process_time()
    signal.alarm(PATIENCE)
    watch.inside, watch.on = str(inside), True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            do()
    except LabError as error:
        if len(str(error)) > 3000:
            wrong.append(f"{len(str(error))} characters long: {str(error)[:200]}")
    except BaseException as error:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
        wrong.append(f"{type(error).__name__}: {str(error)[:300]} at {where}")
    finally:
        watch.on = False
        signal.alarm(0)
    wrong += watch.take() + rang
    if (seconds := time.process_time() - began) > SECONDS:
        wrong.append(f"{seconds:.1f} s")
    if (more := peak() - before) > MEGABYTES:
        wrong.append(f"{more:.0f} MB")
    return wrong


def hostile_case(number: int, base: list[Path], folder: Path, watch: Watch) -> list[str]:
    dice = random.Random(number)
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    chosen = dice.choice(base)
    good = dice.choice([one for one in base if one != chosen])
    for one in (chosen, good):
        shutil.copytree(one, store / one.name)
    ways = [spoil_size] if number % 250 == 7 else dice.choices(WAYS, k=dice.choice((1, 1, 2)))
    ways.sort(key=lambda way: way in (spoil_files, rename))  # A pipe cannot be spoilt any more.
    for nth, way in enumerate(ways):
        with contextlib.suppress(*[Exception] * nth):  # The second may find nothing to spoil.
            way(dice, store / chosen.name)
    if dice.random() < 0.3:
        put_beside(dice, store)
        ways.append(put_beside)
    drawn = number % 10 == 0
    listed: set[str] = set()
    found = watched(watch, folder, lambda: listed.update(read_all(store, drawn)))
    if good.name not in listed:
        found.append("a good run beside it is not listed")
    return [f"case {number} ({', '.join(w.__name__ for w in ways)}): {one}" for one in found]


def flip_case(number: int, base: list[Path], folder: Path, watch: Watch) -> list[str]:
    """Flips one bit of a run: it is noticed, or all that is read is as it was."""
    dice = random.Random(number)
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    chosen = dice.choice(base)
    shutil.copytree(chosen, store / chosen.name)
    path = dice.choice(sorted((store / chosen.name).glob("*.*")))
    content = bytearray(path.read_bytes())
    at, bit = dice.randrange(len(content)), dice.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    found = watched(watch, folder, lambda: read_all(store, False))
    if path.suffix == ".safetensors":
        runs = list(RunStore(store))
        if not runs or not unreadable(runs[0], path.name):
            found.append("a flipped bit in an array was not noticed")
    return [f"flip {number}, bit {bit} of byte {at} of {path.name}: {one}" for one in found]


def unreadable(run: Run, name: str) -> bool:
    """Tells whether reading what is in a file says that it was changed."""
    record = run.record
    for file in filter(None, (*record.units, *record.weights, record.resume, record.confirmed)):
        if file.name == name:
            try:
                run._read(file)
            except LabError as error:
                return name in str(error)
    return False


def dataset_case(number: int, base: Path, folder: Path, watch: Watch) -> list[str]:
    dice = random.Random(number)
    path = folder / "data" / "mnist.npz"
    shutil.rmtree(path.parent, ignore_errors=True)
    shutil.copytree(base.parent, path.parent)
    spoil_dataset(dice, path)
    found = watched(watch, folder, lambda: read_dataset(path))
    return [f"data set {number}: {one}" for one in found]


def limit_memory() -> None:
    """Makes a MemoryError of what would fill the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc") else 0
    most = pages * resource.getpagesize() + 2 * 2**30
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(kind: str, folder: Path, first: int, count: int) -> None:
    from hostile_zips import zip_case

    (folder / "secret").write_text("secret")
    base = prepare_dataset(folder / "base") if kind == "dataset" else prepare(folder / "base")
    cases = {"hostile": hostile_case, "flip": flip_case, "dataset": dataset_case, "zip": zip_case}
    case, watch = cases[kind], Watch()
    signal.signal(signal.SIGALRM, too_late)
    if kind != "dataset":
        read_all(folder / "base", True)  # So that all that is ever imported is.
    for number in range(10**9, 10**9 + 40):
        case(number, base, folder, watch)
    limit_memory()
    failures = [one for n in range(first, first + count) for one in case(n, base, folder, watch)]
    print(json.dumps({"tried": count, "failures": failures}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
