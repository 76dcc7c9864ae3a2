"""Give every reader of untrusted files damaged bytes: it returns the data or raises a ValueError.

    pip install atheris && python tests/tools/fuzz.py --inputs 1000000   # guided by coverage
    python tests/tools/fuzz.py --reader idx --inputs 10000               # one reader

Without atheris, the inputs are random mutations of good files.  The run stops with the input at
hand on a crash, a hang of more than ten seconds, more than 1 GB of memory, an exception of another
type, a message of more than one line, or a warning.  test_hostile.py runs a short form of this.
"""
import argparse
import gzip
import io
import random
import shutil
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

try:
    import atheris
except ImportError:
    atheris = None

if __name__ == "__main__" and atheris is not None:
    INSTRUMENTED = ["tinyddpm", "zipfile", "gzip", "json", "numpy.lib"]
    with atheris.instrument_imports(include=INSTRUMENTED):
        import tinyddpm.app.data
        import tinyddpm.app.digits
        import tinyddpm.app.run  # noqa: F401
from tinyddpm.app import data, digits, readers
from tinyddpm.app import run as runs

POINTS = np.arange(12.0).reshape(6, 2) ** 2
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def saved(save, *arrays, **named_arrays):
    """The bytes that np.save or np.savez writes."""
    file = io.BytesIO()
    save(file, *arrays, **named_arrays)
    return file.getvalue()


def picture(file, array):
    """Write an array as a PNG file."""
    Image.fromarray(array).save(file, "PNG")


def idx(array):
    """The bytes of an idx file."""
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    return header + array.tobytes()


def small_run(folder):
    """The folder of a very small run."""
    np.save(folder / "points.npy", np.random.default_rng(0).normal(size=(20, 2)))
    dataset = runs.open_data(str(folder / "points.npy"))
    network = dict(width=2, depth=1, embedding=2)
    run, rng = runs.start(dataset, steps=11, batch=2, T=2, network=network)
    runs.fit(run, dataset, rng, folder / "run")
    return folder / "run"


class Readers:
    """For each reader, by name: the path that it reads, its function, good files of its kind."""

    def __init__(self, scratch):
        big_endian = np.asfortranarray(POINTS.astype(">f4"))
        self.read = {"npy": (scratch / "a.npy", data.load),
                     "npz": (scratch / "a.npz", data.load),
                     "csv": (scratch / "a.csv", data.load),
                     "png": (scratch / "pictures" / "a.png", lambda path: data.load(path.parent)),
                     "idx": (scratch / "idx", digits.read_idx)}
        (scratch / "pictures").mkdir()
        self.good = {"npy": [saved(np.save, array) for array in (POINTS, IMAGES, big_endian)],
                     "npz": [saved(np.savez, POINTS),
                             saved(np.savez_compressed, x=IMAGES, y=POINTS)],
                     "csv": [b"x,y\n1,2\n3,4e5\n\n-.5,6\n", b'"x";"y"\n1,5;"2"\n3;4\n',
                             b"1 2\n3 4\n"],
                     "png": [saved(picture, IMAGES[0]), saved(picture, IMAGES.T)],
                     "idx": [idx(IMAGES), gzip.compress(idx(IMAGES), mtime=0),
                             idx(IMAGES[:, 0, 0])]}
        run = small_run(scratch)
        for name in ("settings.json", "checkpoint.npz", "held_out.npy", "log.csv"):
            folder = Path(shutil.copytree(run, scratch / name))
            self.read[name] = (folder / name, lambda path: runs.load(path.parent))
            self.good[name] = [(folder / name).read_bytes()]
        log, _ = self.read["log.csv"]
        self.read["log.csv"] = (log, lambda path: runs.read_log(path, 11))

    def attempt(self, name, content):
        """Whether the reader accepts these bytes.

        AssertionError, or an exception of another type than ValueError: the reader is at fault.
        """
        path, read = self.read[name]
        path.write_bytes(content)
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = read(path)
        except ValueError as error:
            message = str(error)
            assert message.isprintable() and 20 < len(message) < 600 + 2 * len(str(path)), message
            result = None
        seconds = time.process_time() - began
        assert seconds < 10, f"{name} took {seconds:.0f} s"
        if isinstance(result, np.ndarray):
            assert result.size and np.isfinite(result).all() and result.nbytes <= readers.LARGEST
        return result is not None


SPECIAL_BYTES = [0, 1, 10, 34, 44, 48, 57, 91, 127, 128, 255]
SPECIAL_WORDS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"9999", b"1e99", b"-1, ",
                 b"NaN,", b"[[[["]


def mutated(content, rng):
    """The content with a few random changes: bits, bytes, words, pieces removed or repeated."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 9])):
        i, j = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        end = min(j, i + rng.randrange(40))
        match rng.randrange(7):
            case 0 if i < len(content):
                content[i] ^= 1 << rng.randrange(8)
            case 1 if i < len(content):
                content[i] = rng.choice(SPECIAL_BYTES)
            case 2:
                del content[i:end]
            case 3:
                content[i:i] = content[i:end] * rng.choice([1, 3, 100])
            case 4:
                content[i:i + 4] = rng.choice(SPECIAL_WORDS)
            case 5:
                content[j:j] = content[i:end]
            case 6:
                del content[i:]
    return bytes(content)


def main(reader, inputs, seed):
    memory_disk = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory_disk if memory_disk.is_dir() else None) as scratch:
        fuzz(Readers(Path(scratch)), reader, inputs, seed, Path(scratch) / "corpus")


def fuzz(all_readers, reader, inputs, seed, corpus):
    names, rng = [reader] if reader else list(all_readers.read), random.Random(seed)
    tried, accepted = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for name in names:  # a reader that refuses everything must not pass
        assert all(all_readers.attempt(name, good) for good in all_readers.good[name])

    def attempt(name, content):
        accepted[name] += all_readers.attempt(name, content)
        tried[name] += 1

    def report():
        for name in names:
            print(f"{name}: {tried[name]} inputs, {accepted[name]} of them good files")

    if atheris is None:
        for i in range(inputs):
            name = names[i % len(names)]
            attempt(name, mutated(rng.choice(all_readers.good[name]), rng))
        report()
        return

    corpus.mkdir()
    for i, name in enumerate(names):
        for k, good in enumerate(all_readers.good[name]):
            (corpus / f"{name}-{k}").write_bytes(bytes([i]) + good)
    began = time.monotonic()

    def test_one_input(content):  # the first byte chooses the reader
        attempt(names[content[0] % len(names)] if content else names[0], content[1:])
        if sum(tried.values()) == inputs:
            print(f"atheris, {time.monotonic() - began:.0f} s")
            report()

    options = [f"-atheris_runs={inputs}", "-rss_limit_mb=1024", "-timeout=10", "-max_len=4096",
               "-print_final_stats=1", f"-seed={seed}",
               f"-artifact_prefix={tempfile.gettempdir()}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--reader", help="npy, npz, csv, png, idx, settings.json, checkpoint.npz, "
                                         "held_out.npy or log.csv (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    main(arguments.reader, arguments.inputs, arguments.seed)
