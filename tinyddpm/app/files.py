"""Files: read without trust, written without loss.

A file may be damaged, or made by somebody who means no good: nothing in it is ever run, memory is asked for only after
its size is known, and whatever is wrong with it becomes one sentence.  And a computer may stop at any moment: a file
is replaced as a whole or not at all.
"""
import array
import glob
import io
import math
import os
import signal
import threading
import warnings
import zipfile
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

import numpy as np

LARGEST = 380_000_000  # bytes of one file or one array; with the copies that training makes it stays below 1 GB


def read_file(path, read, kind):
    """read(file) of an opened file, or ValueError with one sentence: foreign bytes can make NumPy and zipfile raise anything."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError("it is not a file with an end")  # a folder, or a pipe that would be waited for
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's own thoughts on old headers
            if file.seek(0, io.SEEK_END) > LARGEST:
                raise ValueError(f"it is larger than {LARGEST} bytes")
            file.seek(0)
            return read(file)
    except Exception as error:
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {one_line(error)}") from None


def one_line(error):
    """What an exception has to say, on one line of printable characters and not too many of them."""
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split()).split(". ")[0]
    return "".join(c if c.isprintable() else "?" for c in text[:300]).rstrip(".")


def read_npy(file, size=None):
    """The array in an open .npy file.  size: of the file, where seeking its end would unpack it."""
    if np.lib.format.read_magic(file) != (1, 0):  # later versions are for headers of more than 65535 bytes
        raise ValueError("it is not of version 1.0 of the format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    begin = file.tell()
    size = (file.seek(0, io.SEEK_END) if size is None else size) - begin
    if dtype.hasobject:
        raise ValueError("Object arrays would have to be unpickled, which could run anything")
    if dtype.kind not in "biufcU" or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size or size > LARGEST:
        raise ValueError(f"its header says {dtype.kind}{dtype.itemsize} of shape {shape}, and {size} bytes follow")
    file.seek(begin)
    content = np.empty(size, np.uint8)
    if file.readinto(content) != size:
        raise ValueError("it ends before its array does")
    return content.view(dtype).reshape(shape, order="F" if fortran_order else "C")


def read_npz(file, choose):
    """{name: array} of those arrays in an open .npz file that choose(names) names."""
    entries = sum(block.count(b"PK\1\2") for block in iter(lambda: file.read(2 ** 20), b""))
    if entries > 1000:  # zipfile would make an object of a kilobyte for each
        raise ValueError(f"it holds {entries} arrays")
    with zipfile.ZipFile(file) as archive:
        chosen = [archive.getinfo(name + ".npy") for name in choose([name.removesuffix(".npy") for name in archive.namelist()])]
        if sum(info.file_size for info in chosen) > LARGEST or {info.compress_type for info in chosen} - {0, zipfile.ZIP_DEFLATED}:
            raise ValueError(f"it unpacks to more than {LARGEST} bytes, or is packed as NumPy packs nothing")
        return {info.filename.removesuffix(".npy"): read_npy(archive.open(info), info.file_size) for info in chosen}


def read_csv(file):
    """The numbers of an open .csv file, (N, D); empty lines do not count, nor does a first line of names."""
    numbers, columns = array.array("d"), None
    for first, lines in _blocks_of_lines(io.TextIOWrapper(file, "utf-8-sig"), 2 ** 20):
        if first == 1 and set(map(_number, lines[0].split(","))) == {None}:
            lines[0] = ""
        full = [line for line in lines if line and not line.isspace()]
        if not full:
            continue
        columns = columns or 1 + full[0].count(",")
        try:  # a megabyte at a time, as each step of Python's costs; where the mistake is, is asked when there is one
            if set(map(str.count, full, repeat(","))) != {columns - 1}:
                raise ValueError
            numbers.extend(map(float, ",".join(full).split(",")))
        except ValueError:
            raise ValueError(_first_mistake(lines, first, columns)) from None
        if len(numbers) > LARGEST / 8:
            raise ValueError(f"it holds more than {LARGEST} bytes of numbers")
    return np.asarray(numbers).reshape(-1, columns or 1)


def _blocks_of_lines(text, longest):
    """Pairs (number of the first line, lines) of an open text, about `longest` characters at a time."""
    number, rest = 1, ""
    for piece in iter(lambda: text.read(longest), ""):
        *lines, rest = (rest + piece).split("\n")
        if len(rest) >= longest:
            raise ValueError(f"line {number + len(lines)} has more than {longest} characters")
        yield number, lines or [""]
        number += len(lines)
    yield number, [rest]


def _first_mistake(lines, number, columns):
    for i, line in enumerate(lines, number):
        cells = line.split(",") if line.strip() else []
        for cell in cells:
            if _number(cell) is None:
                return f"line {i} has {cell.strip()[:40]!r} where a number is expected"
        if len(cells) not in (0, columns):
            return f"line {i} has {len(cells)} numbers and the lines before it have {columns}"


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def replace(path, write):
    """Write a file under another name, write(file), and give it its own when all of it is on the disk.

    What stood there stays until then.  The other name is of this process alone: of two that write one file, the
    later stands, whole.  OSError: it cannot be written; nothing is left of the attempt.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "w+b") as file:  # "+": so NumPy writes through Python, which can say why it cannot
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_names(path.parent)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}, and what was there before is kept", str(path)) from None
    finally:
        with suppress(OSError):  # it has its own name by now, or there never was one
            partial.unlink()


@contextmanager
def interrupts_held():
    """Ctrl-C, SIGTERM and SIGHUP wait for the end of the block.

    An exception amid a finaliser, such as ZipFile has, goes no further: Python prints it and carries on, and the
    program would never know that it was asked to stop.
    """
    held, names = [], ("SIGINT", "SIGTERM", "SIGHUP")
    if threading.current_thread() is not threading.main_thread():  # signals are handled in that one alone
        names = ()
    usual = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names if hasattr(signal, name))}
    usual = {number: handler for number, handler in usual.items() if callable(handler)}  # not those that are ignored
    for number in usual:
        signal.signal(number, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        for number in held[:1]:
            signal.raise_signal(number)


def forget_partials(path):
    """What killed processes had written of a file, for one who knows that nobody else writes it."""
    for partial in path.parent.glob(glob.escape(path.name) + ".*.partial"):
        partial.unlink(missing_ok=True)


def sync_names(folder):
    """A file's new name, too, is on the disk only when its folder is; systems that cannot say so are left alone."""
    with suppress(OSError):
        names = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(names)
        finally:
            os.close(names)


def lock(file):
    """Take an open file for this process, until it ends or closes it.  OSError: another has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
