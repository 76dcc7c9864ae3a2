"""Malicious files: each command refuses them in one sentence with exit code 2.

Nothing in them is run, no command hangs, and the largest of them take less than 1 GB of memory.
"""
import contextlib
import gzip
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from fuzz import IMAGES, POINTS, Readers, idx, mutated, saved, small_run
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyddpm.app import run as runs
from tinyddpm.app.command_line import main


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return Readers(tmp_path_factory.mktemp("readers"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("run"))


def refused(capsys, *arguments):
    """The one line that a command writes to stderr before it ends with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as error:
        main([str(argument) for argument in arguments])
    output, message = capsys.readouterr()
    assert error.value.code == 2 and not output, message
    assert message.endswith("\n") and message[:-1].isprintable(), message
    return message


def test_good_files_are_read(readers):
    assert all(readers.attempt(name, good) for name in readers.good for good in readers.good[name])


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(readers, draw):
    name = draw.draw(st.sampled_from(list(readers.read)))
    good = draw.draw(st.sampled_from(readers.good[name]))
    readers.attempt(name, mutated(good, random.Random(draw.draw(st.integers(0, 2 ** 32)))))


@settings(max_examples=100)
@given(st.data())
def test_a_flipped_bit_of_a_packed_file_changes_no_number(readers, draw):
    """.npz and .gz carry checksums of their content; a flipped bit elsewhere may be accepted."""
    packed = [("npz", 0), ("npz", 1), ("idx", 1), ("checkpoint.npz", 0)]
    name, k = draw.draw(st.sampled_from(packed))
    path, read = readers.read[name]
    content = bytearray(readers.good[name][k])
    path.write_bytes(content)
    before = read(path)
    content[draw.draw(st.integers(0, len(content) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    path.write_bytes(content)
    with contextlib.suppress(ValueError):
        after = read(path)
        if name == "checkpoint.npz":
            before, after = before[0].state.weights, after[0].state.weights
        assert np.array_equal(before, after)


# Files that are malicious on purpose


def npy_header(text, version=(1, 0)):
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text.encode("latin1")


def npy_claim(shape, descr="'<f8'", version=(1, 0)):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return npy_header(text, version)


def zipped(name, packed, size, method=zipfile.ZIP_DEFLATED, flags=0, copies=1):
    """A zip archive with one entry (listed `copies` times) that claims what the arguments say."""
    common = struct.pack("<5H3L2H", 20, flags, method, 0, 33, 0, len(packed), size, len(name), 0)
    listed = b"PK\1\2" + struct.pack("<H", 20) + common + bytes(14) + name
    content = b"PK\3\4" + common + name + packed
    count = copies % 65536
    end = struct.pack("<4H2LH", 0, 0, count, count, copies * len(listed), len(content), 0)
    return content + copies * listed + b"PK\5\6" + end


def deflated_zeros(head, megabytes):
    """`head` and megabytes of zeros: the same deflated block for each megabyte, of a kilobyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2 ** 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + block * megabytes + packer.flush()


def gzipped_zeros(head, megabytes):
    return gzip.compress(b"")[:10] + deflated_zeros(head, megabytes) + bytes(8)


def idx_claim(*shape):
    return struct.pack(">4I", 2051, *shape)


def png_claim(width, height):
    """A PNG file whose header claims this size."""
    chunks = ((b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)),
              (b"IDAT", zlib.compress(bytes(2 ** 20))), (b"IEND", b""))
    parts = [struct.pack(">I", len(body)) + name + body
             + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


MEGABYTES = 10 * 1024  # ten gigabytes
IMAGES_IDX = "train-images-idx3-ubyte"
HOSTILE = {
    "huge.npy": npy_claim((10 ** 12, 2)) + bytes(160),
    "overflow.npy": npy_claim((2 ** 62, 4)) + bytes(160),
    "negative.npy": npy_claim((-1, 2)) + bytes(160),
    "twice_negative.npy": npy_claim((-10, -2)) + bytes(160),
    "nothing_wide.npy": npy_claim((2, 10 ** 15), "'<U0'") + bytes(160),
    "nothing_at_all.npy": npy_claim((2, 10 ** 15), "'<U0'"),
    "many_digits.npy": npy_claim("(" + "9" * 5000 + ", 0)"),
    "many_axes.npy": npy_claim((1,) * 200) + bytes(8),
    "structured.npy": npy_claim((10,), [("a", "<f8"), ("b", "<f8")]) + bytes(160),
    "code.npy": npy_claim((10,), "__import__('os').getcwd()") + bytes(160),
    "nested.npy": npy_header("(" * 9000),
    "long_header.npy": npy_header(" " * 60_000),
    "header_of_4_GB.npy": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    "header_3.npy": npy_claim((2, 2), version=(3, 0)) + bytes(32),
    "trailing.npy": saved(np.save, POINTS) + b"\0",
    "bomb.npz": zipped(b"x.npy", deflated_zeros(npy_claim((MEGABYTES * 2 ** 17, 1)), MEGABYTES),
                       2 ** 32 - 1),
    "liar.npz": zipped(b"x.npy", deflated_zeros(npy_claim((2 ** 20, 1)), MEGABYTES),
                       len(npy_claim((2 ** 20, 1))) + 2 ** 23),
    "short.npz": zipped(b"x.npy", deflated_zeros(npy_claim((2 ** 25, 1)), 1),
                        len(npy_claim((2 ** 25, 1))) + 2 ** 28),
    "list.npz": zipped(b"x.npy", b"", 0, copies=10 ** 6),
    "packed_else.npz": zipped(b"x.npy", b"\x09\x04\x05\x00\x5d\xff\xff\xff\xff" + bytes(50), 200,
                              zipfile.ZIP_LZMA),
    "secret.npz": zipped(b"x.npy", bytes(200), 188, zipfile.ZIP_STORED, flags=1),
    "climbs.npz": zipped(b"../../x.npy", b"", 0),
    "speaks.npz": zipped(b"\x1b[2J\nall is well", b"", 0),
    "two_of_a_name.npz": zipped(b"x.npy", b"", 0, copies=2),
    "one_line.csv": b"1," * (2 ** 21),
    "no_numbers.csv": bytes(2 ** 21),
    "long_number.csv": b"1" * 900_000 + b",2\n" + b"1,2\n" * 20,
    "long_word.csv": b"1,2\n" + b"\x1b" * 900_000 + b",2\n",
    "long_name.csv": b"x" * 900_000 + b",y\n1,2\n",
    "many_names.csv": b",".join(b"a%d" % i for i in range(100_000)) + b"\n1,2\n",
    "quotes.csv": b'"' * 900_000 + b",2\n" + b"1,2\n" * 20,
    "wider_and_wider.csv": b"\n".join(b"1," * n + b"1" for n in range(2000)),
    "pixels/bomb.png": png_claim(2 ** 31 - 1, 2 ** 31 - 1), "many/a.png": png_claim(20_000, 20_000),
    f"claims_all/{IMAGES_IDX}": idx_claim(2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1),
    f"bomb/{IMAGES_IDX}.gz": gzipped_zeros(idx_claim(MEGABYTES, 1024, 1024), MEGABYTES),
    f"more_than_said/{IMAGES_IDX}.gz": gzipped_zeros(idx_claim(2, 1024, 1024), MEGABYTES),
    f"fewer_than_said/{IMAGES_IDX}.gz": gzipped_zeros(idx_claim(360, 1024, 1024), 1),
    f"padded/{IMAGES_IDX}.gz": gzip.compress(idx(IMAGES)) + bytes(2 ** 24) + b"!",
    f"named/{IMAGES_IDX}.gz": b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * 2 ** 24,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path, capsys, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(HOSTILE[name])
    if path.parent != tmp_path and "png" not in name:  # a folder of idx files, the others good
        labels = IMAGES[:, 0, 0]
        others = {"train-labels-idx1": labels, "t10k-images-idx3": IMAGES,
                  "t10k-labels-idx1": labels}
        for other, array in others.items():
            (path.parent / f"{other}-ubyte").write_bytes(idx(array))
    if path.parent != tmp_path:
        path = path.parent
    message = refused(capsys, "train", "--data", path, "--out", tmp_path / "run")
    assert str(path) in message and len(message) < 700 + len(str(path))
    assert not (tmp_path / "run").exists()


def test_a_pipe_a_device_or_a_folder_is_refused_at_once(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zeros.npy").symlink_to("/dev/zero")
    (tmp_path / "folder.npz").mkdir()
    for path in tmp_path.iterdir():
        assert path.name in refused(capsys, "train", "--data", path, "--out", tmp_path / "run")


@pytest.mark.parametrize("name", ["lock", "settings.json", "checkpoint.npz", "held_out.npy"])
def test_a_run_folder_has_no_pipes(run, tmp_path, capsys, name):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert str(folder) in refused(capsys, "train", "--resume", folder)


SETTINGS = {
    "depth": {"network": {"depth": 10 ** 18}},
    "width": {"network": {"width": 4096, "depth": 1000}},
    "T": {"T": 10 ** 12},
    "steps": {"steps": 10 ** 400},
    "shape": {"shape": [10 ** 9]},
    "shapes": {"shape": [1] * 10 ** 5},
    "scale": {"scale": [1] * 300_000},
    "minutes": {"minutes": "1"},
    "hours": {"minutes": 10 ** 400},
    "nested": {"scale": [[1], [1]]},
    "tiny": {"scale": [1e-320] * 2},
    "wide": {"shift": [1e308, -1e308], "scale": [1e308] * 2},
    "far": {"shift": [float("inf"), 0]},
    "name": {"data": ["moons"]},
    "columns": {"columns": 5},
    "column": {"columns": ["x"]},
    "names": {"columns": [1, 2]},
    "kind": {"kind": {"points": 1}},
    "seed": {"seed": -1},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_hostile_settings_are_refused(run, tmp_path, capsys, name):
    folder = shutil.copytree(run, tmp_path / "run")
    content = json.loads((folder / "settings.json").read_text())
    change = dict(SETTINGS[name])
    if "network" in change:
        change["network"] = {**content["network"], **change["network"]}
    (folder / "settings.json").write_text(json.dumps({**content, **change}))
    assert "damaged" in refused(capsys, "sample", folder)


@pytest.fixture(scope="module")
def image_run(tmp_path_factory):
    """A run on images before its first step; its checkpoint holds the prior of the pixels."""
    folder = tmp_path_factory.mktemp("images")
    images = np.random.default_rng(0).integers(0, 256, (20, 64, 64), np.uint8)
    np.save(folder / "images.npy", images)
    dataset = runs.open_data(str(folder / "images.npy"))
    network = dict(width=2, outer_blocks=1, inner_blocks=1, embedding=2)
    run, rng = runs.start(dataset, steps=1, batch=2, T=2, network=network)
    runs.save(folder / "run", run, rng.bit_generator.state)
    return folder / "run"


FLOAT_AS_STATE = {"bit_generator": "PCG64", "state": {"state": 1e99, "inc": 1}, "has_uint32": 0,
                  "uinteger": 0}
CHECKPOINTS = {
    "many_kinds": {"share": np.full(3000, 1 / 3000), "levels": np.full((3000, 256), 1 / 256)},
    "wide_range": {"beta": np.array([1e-300, 0.9])},
    "no_share": {"share": np.array([np.nan] * 6)},
    "words": {"share": np.array(["a"] * 6)},
    "no_kinds": {"share": np.empty(0), "levels": np.empty((0, 256))},
    "step": {"step": 2 ** 62},
    "steps": {"step": np.array([1, 2])},
    "nan": {"step": np.nan},
    "rng": {"rng": np.array("{}")},
    "beta": {"beta": np.array([np.nan, 0.5])},
    "rngs": {"rng": np.array(json.dumps(FLOAT_AS_STATE))},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_hostile_checkpoints_are_refused(image_run, tmp_path, capsys, name):
    folder = shutil.copytree(image_run, tmp_path / "run")
    with np.load(folder / "checkpoint.npz") as arrays:
        np.savez(folder / "checkpoint.npz", **{**arrays, **CHECKPOINTS[name]})
    assert "damaged" in refused(capsys, "sample", folder)


@pytest.mark.parametrize("content", [
    b"[" * 10 ** 5, b'{"a": ' * 10 ** 5, b"9" * 10 ** 5, b" " * 2 ** 21 + b"{}", b"null",
    b'{"format": NaN}', b"\xff\xfe"])
def test_a_settings_file_without_settings_is_refused(run, tmp_path, capsys, content):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "settings.json").write_bytes(content)
    for command in (["sample"], ["elbo"], ["train", "--resume"]):
        assert "damaged" in refused(capsys, *command, folder)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.touch, ()


@pytest.mark.parametrize("name", ["data.npy", "data.npz", "checkpoint.npz", "held_out.npy"])
def test_nothing_is_unpickled(run, tmp_path, capsys, name):
    trap = np.array([Trap(tmp_path / "sprung")] * 4, object)
    folder = shutil.copytree(run, tmp_path / "run")
    if name.endswith("npy"):
        np.save(folder / name, trap, allow_pickle=True)
    elif name == "data.npz":
        np.savez(folder / name, x=trap)
    else:
        with np.load(folder / name) as arrays:
            np.savez(folder / name, **{**arrays, "rng": trap, "weights": trap})
    command = ["elbo", folder]
    if "data" in name:
        command += ["--data", folder / name]
    assert "unpickled" in refused(capsys, *command)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("option", ["steps", "batch", "T", "width", "depth", "n"])
@pytest.mark.parametrize("value", ["1" + "0" * 12, "1" + "0" * 18, "1" + "0" * 400])
def test_absurd_sizes_are_refused(run, tmp_path, capsys, option, value):
    command = ["train", "--data", "moons", "--out", tmp_path / "run"]
    if option == "n":
        command = ["sample", run]
    with pytest.raises(SystemExit) as error:
        main([*map(str, command), f"--{option}", value])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.value.code == 2 and option in message and len(message) < 700
    assert not (tmp_path / "run").exists()


def test_together_they_take_less_than_1_gb(tmp_path):
    """The memory of a process that reads the largest of the malicious files."""
    if not hasattr(os, "wait4"):
        pytest.skip("this system does not report the memory of a process that has ended")
    (tmp_path / "bomb").mkdir()
    for name in ("bomb.npz", "liar.npz", "short.npz", "list.npz", "one_line.csv", "huge.npy",
                 f"bomb/{IMAGES_IDX}.gz"):
        (tmp_path / name).write_bytes(HOSTILE[name])
    code = """if True:
        import sys, tinyddpm
        from tinyddpm.app.digits import read_idx
        for path in sys.argv[1:]:
            read = read_idx if path.endswith(".gz") else tinyddpm.load
            try:
                read(path)
            except ValueError:
                pass
    """
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, tmp_path.rglob("*.*"))])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # wait4 has taken it from Popen
    unit = 1 if sys.platform == "darwin" else 1024
    assert status == 0 and usage.ru_maxrss * unit < 1e9
