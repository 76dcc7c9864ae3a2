"""Read files from an untrusted source: .npy, .npz and .csv.

NumPy and zipfile parse the bytes; the functions here bound what a damaged or malicious file can
cost.  Nothing is unpickled, sizes are checked before memory is allocated, and every error becomes
a ValueError of one sentence.
"""
import io
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

LARGEST = 380_000_000  # bytes of one file or array; with its copies in training, below 1 GB
MOST_ENTRIES = 1000  # of an .npz file
LONGEST_LINE = 2 ** 20  # characters of a line of a .csv file


def read_file(path: str | Path, read: Callable[[BinaryIO], Any], kind: str) -> Any:
    """read(file) of the file at that path, of at most LARGEST bytes.

    kind: what the file should be, for the error message.
    ValueError: not a regular file, too large, or `read` raises any exception.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError("it is not a regular file")  # reading a pipe would wait without end
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of old headers and of files without data
            if file.seek(0, io.SEEK_END) > LARGEST:
                raise ValueError(f"it is larger than {LARGEST} bytes")
            file.seek(0)
            return read(file)
    except Exception as error:  # damaged bytes raise exceptions of many types
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """The first sentence of an exception's message, in at most 300 printable characters."""
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    sentence = " ".join(message.split()).split(". ")[0]
    return "".join(c if c.isprintable() else "?" for c in sentence[:300]).rstrip(".")


def read_npy(file: BinaryIO) -> np.ndarray:
    """The array in an open .npy file.  ValueError: not a complete array of numbers or text."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    _check_npy_header(file, size)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _check_npy_header(file: Any, size: int) -> None:
    """ValueError: the array that the header describes does not fill the rest of `size` bytes."""
    if np.lib.format.read_magic(file) != (1, 0):  # others allow headers of up to 4 GB
        raise ValueError("it is not of version 1.0 of the .npy format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError("Object arrays must be unpickled, which can run any code")
    remaining = size - file.tell()
    is_plain = dtype.kind in "biufcU" and dtype.itemsize > 0
    if not is_plain or math.prod(shape) * dtype.itemsize != remaining:
        raise ValueError(f"its header says {dtype.str} of shape {shape}: it must be numbers or "
                         f"text that fill the {remaining} bytes after it")


def read_npz(file: BinaryIO, choose: Callable[[list[str]], list[str]]) -> dict[str, np.ndarray]:
    """Some arrays of an open .npz file, {name: array}.

    choose: takes the names of all arrays and returns the names of those to read.
    ValueError: more than MOST_ENTRIES arrays, more than LARGEST bytes unpacked, a damaged archive.
    """
    blocks = iter(lambda: file.read(2 ** 20), b"")
    entries = sum(block.count(b"PK\1\2") for block in blocks)
    if entries > MOST_ENTRIES:  # zipfile allocates a kilobyte for each
        raise ValueError(f"it holds {entries} arrays, and at most {MOST_ENTRIES} are allowed")
    arrays = {}
    import zipfile  # here, because `import tinyddpm` need not wait for it

    with zipfile.ZipFile(file) as archive:
        names = choose([name.removesuffix(".npy") for name in archive.namelist()])
        chosen = {name: archive.getinfo(f"{name}.npy") for name in names}
        if sum(info.file_size for info in chosen.values()) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST} bytes")
        for name, info in chosen.items():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"its {name} is compressed by a method that NumPy never uses")
            with archive.open(info) as entry:
                _check_npy_header(entry, info.file_size)
            # Opened again: after a seek, zipfile may not verify the checksum.
            with archive.open(info) as entry:
                arrays[name] = np.lib.format.read_array(entry, allow_pickle=False)
    return arrays


def read_csv(file: BinaryIO) -> np.ndarray:
    """The numbers of an open .csv file, (N, D) float64.

    Blank lines are skipped, and so is the first line if none of its cells is a number.
    ValueError: text among the numbers, lines of different lengths, a line or a file too long.
    """
    text = io.TextIOWrapper(file, "utf-8-sig")
    line_number = 0

    def lines() -> Iterator[str]:
        nonlocal line_number
        size = 0
        # Reads to the end; a line longer than LONGEST_LINE comes in pieces.
        for line in iter(lambda: text.readline(LONGEST_LINE), ""):
            line_number += 1
            if len(line) == LONGEST_LINE:
                raise ValueError(f"a line must be shorter than {LONGEST_LINE} characters")
            is_header = line_number == 1 and not any(map(_is_number, line.split(",")))
            if is_header or line.isspace():
                continue
            size += 8 * (line.count(",") + 1)
            if size > LARGEST:
                raise ValueError(f"the numbers up to here take more than {LARGEST} bytes")
            yield line

    try:
        return np.loadtxt(lines(), delimiter=",", comments=None, ndmin=2)
    except UnicodeDecodeError:  # text is decoded in blocks, so line_number would be wrong
        raise
    except ValueError as error:  # NumPy's " at row 1" does not count the lines skipped
        raise ValueError(f"line {line_number}: {str(error).partition(' at row')[0]}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
