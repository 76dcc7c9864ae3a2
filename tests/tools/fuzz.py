"""Every reader of foreign bytes, and one rule for all of them: a good file is read, any other is a ValueError of one line.

    pip install atheris && python tests/tools/fuzz.py --inputs 1000000     # guided by coverage; without atheris, blindly
    python tests/tools/fuzz.py --reader idx --inputs 10000

A crash, a hang of more than ten seconds, more than 1 GB of memory, any other exception, or a warning ends it with the
input in hand.  The suite does a short round of the same (test_hostile.py).
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

try:
    import atheris
except ImportError:
    atheris = None

if __name__ == "__main__" and atheris is not None:
    with atheris.instrument_imports(include=["tinyddpm", "zipfile", "gzip", "json", "numpy.lib"]):
        import tinyddpm.app.data
        import tinyddpm.app.run
from tinyddpm.app import data, files, run as runs

POINTS = np.arange(12.0).reshape(6, 2) ** 2
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def small_run(folder):
    """A run folder as small as they come."""
    np.save(folder / "points.npy", np.random.default_rng(0).normal(size=(20, 2)))
    dataset = runs.open_data(str(folder / "points.npy"))
    run, rng = runs.start(dataset, steps=11, batch=2, T=2, network=dict(width=2, depth=1, embedding=2))
    runs.fit(run, dataset, rng, folder / "run")
    return folder / "run"


class Readers:
    """{name: (the path to write to, the function that reads it)} and {name: good files}, in a scratch folder."""

    def __init__(self, scratch):
        run = small_run(scratch)
        self.read = {"npy": (scratch / "a.npy", data.load), "npz": (scratch / "a.npz", data.load), "csv": (scratch / "a.csv", data.load),
                     "idx": (scratch / "idx", data.read_idx)}
        self.good = {"npy": [saved(np.save, POINTS), saved(np.save, IMAGES), saved(np.save, np.asfortranarray(POINTS.astype(">f4")))],
                     "npz": [saved(np.savez, POINTS), saved(np.savez_compressed, x=IMAGES, y=POINTS)],
                     "csv": [b"x,y\n1,2\n3,4e5\n\n-.5,6\n"],
                     "idx": [idx(IMAGES), gzip.compress(idx(IMAGES), mtime=0), idx(IMAGES[:, 0, 0])]}
        for name in ("settings.json", "checkpoint.npz", "held_out.npy"):
            folder = Path(shutil.copytree(run, scratch / name))
            self.read[name] = (folder / name, lambda path: runs.load(path.parent))
            self.good[name] = [(folder / name).read_bytes()]
        folder = Path(shutil.copytree(run, scratch / "log"))
        self.read["log.csv"] = (folder / "log.csv", lambda path: runs.read_log(path, 11))
        self.good["log.csv"] = [(folder / "log.csv").read_bytes()]

    def attempt(self, name, content):
        """Whether the reader takes these bytes for a good file; AssertionError, or whatever it was, where the rule is broken."""
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
        assert time.process_time() - began < 10, f"{name} took {time.process_time() - began:.0f} s"
        if isinstance(result, np.ndarray):
            assert result.size and np.isfinite(result).all() and result.nbytes <= files.LARGEST
        return result is not None


def mutated(content, chance):
    """The content with a few accidents: bits flipped, bytes set, a piece cut out, doubled, or put elsewhere, an end lost."""
    content = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 9])):
        i, j = sorted(chance.randrange(len(content) + 1) for _ in range(2))
        k = min(j, i + chance.randrange(40))
        match chance.randrange(7):
            case 0 if i < len(content):
                content[i] ^= 1 << chance.randrange(8)
            case 1 if i < len(content):
                content[i] = chance.choice([0, 1, 10, 34, 44, 48, 57, 91, 127, 128, 255])
            case 2:
                del content[i:k]
            case 3:
                content[i:i] = content[i:k] * chance.choice([1, 3, 100])
            case 4:
                content[i:i + 4] = chance.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"9999", b"1e99", b"-1, ", b"NaN,", b"[[[["])
            case 5:
                content[j:j] = content[i:k]
            case 6:
                del content[i:]
    return bytes(content)


def main(reader, inputs, seed):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        readers = Readers(Path(scratch))
        names, counts, chance = [reader] if reader else list(readers.read), {}, random.Random(seed)
        for name in names:  # without these, a reader that refuses everything would pass
            assert all(readers.attempt(name, good) for good in readers.good[name])

        def one(content):
            name = names[content[0] % len(names)] if content else names[0]
            taken = readers.attempt(name, content[1:])
            tried, passed = counts.get(name, (0, 0))
            counts[name] = tried + 1, passed + taken

        def report():
            for name, (tried, passed) in counts.items():
                print(f"{name}: {tried} inputs, {passed} of them good files")

        began = time.monotonic()
        if atheris is None:
            for i in range(inputs):
                one(bytes([i % len(names)]) + mutated(chance.choice(readers.good[names[i % len(names)]]), chance))
            report()
        else:
            corpus = Path(scratch) / "corpus"
            corpus.mkdir()
            for i, name in enumerate(names):
                for k, good in enumerate(readers.good[name]):
                    (corpus / f"{name}-{k}").write_bytes(bytes([i]) + good)

            def test_one_input(content):
                one(content)
                if sum(tried for tried, _ in counts.values()) == inputs:
                    print(f"atheris, {time.monotonic() - began:.0f} s")
                    report()

            atheris.Setup([sys.argv[0], f"-atheris_runs={inputs}", "-rss_limit_mb=1024", "-timeout=10", "-max_len=4096",
                           "-print_final_stats=1", f"-seed={seed}", f"-artifact_prefix={tempfile.gettempdir()}/", str(corpus)], test_one_input)
            atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--reader", help="one of npy, npz, csv, idx, settings.json, checkpoint.npz, held_out.npy, log.csv (all)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    main(arguments.reader, arguments.inputs, arguments.seed)
