"""Read files from an untrusted source: .npy, .npz and text.

NumPy and zipfile parse the bytes; the functions here bound what a damaged or malicious file can
cost.  Nothing is unpickled, sizes are checked before memory is allocated, and every error becomes
a ValueError of one sentence.
"""
import io
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

LARGEST = 380_000_000  # bytes of one file or array; with its copies in training, below 1 GB
MOST_ENTRIES = 1000  # of an .npz file
LONGEST_LINE = 2 ** 20  # characters of a line of a text file
DECIMALS = "write decimals with a point, or separate the columns by semicolons"
NUMBER = re.compile(r"[-+]?([\d.,]+(e[-+]?\d+)?|nan|inf|infinity)", re.IGNORECASE)


class Table(NamedTuple):
    """What was read: the items, those held out if they are told apart, names, doubts."""

    items: np.ndarray
    held_out: np.ndarray | None = None
    columns: Sequence[str] = ()
    doubts: Sequence[str] = ()


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
        raise ValueError("Object arrays must be unpickled, which can run any code: save "
                         "np.array(array.tolist(), float)")
    remaining = size - file.tell()
    is_plain = dtype.kind in "biufcU" and dtype.itemsize > 0
    if not is_plain or math.prod(shape) * dtype.itemsize != remaining:
        raise ValueError(f"its header says {dtype.str} of shape {shape}, not numbers that fill "
                         f"the {remaining} bytes after it: save np.array(array.tolist(), float)")


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


def read_csv(file: BinaryIO, columns: Sequence[str] = ()) -> Table:
    """The numbers of an open text file, (N, D) float64, and the names of the columns.

    Semicolons, tabs, commas or white space separate the cells, which may be quoted; commas that do
    not separate cells are decimal points.  The first line has names if no cell of it is a number
    and one has a letter.  Blank lines are skipped.
    columns: those to read, by name or number from 0; () reads all.
    ValueError: text among the numbers, lines of different lengths, a line or a file too long.
    """
    is_utf_16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    file.seek(0)
    # Where bytes are no text, the cell is no number.
    text = io.TextIOWrapper(file, "utf-16" if is_utf_16 else "utf-8-sig", "replace")
    # Reads to the end; a line longer than LONGEST_LINE comes in pieces.
    all_lines = enumerate(iter(lambda: text.readline(LONGEST_LINE), ""), 1)
    numbered = ((number, line) for number, line in all_lines if not line.isspace())
    head = list(itertools.islice(numbered, 2))
    delimiter = _delimiter(head[-1][1]) if head else ","
    names, *second = [_cells(line, delimiter) for _, line in head] or [["0"]]
    is_numbered = len(names) > 1 and names == ["", *map(str, range(len(names) - 1))]  # by pandas
    is_header = any(map(str.isalpha, "".join(names))) and not any(map(NUMBER.fullmatch, names))
    if is_numbered or is_header:
        line_number, _ = head.pop(0)
        if second and len(second[0]) != len(names):
            raise ValueError(f"line {line_number} has {len(names)} names and the next line "
                             f"{len(second[0])} cells: name every column, {DECIMALS}")
    count, names = len(names), names if is_header else []
    chosen = choose_columns(columns, names, count)
    doubts: list[str] = []
    reached = 0  # the line that is read

    def lines() -> Iterator[str]:
        nonlocal reached
        size = 0
        for number, line in itertools.chain(head, numbered):
            reached = number
            size += 8 * (line.count(delimiter or " ") + 1)
            if len(line) == LONGEST_LINE:
                raise ValueError(f"a line must be shorter than {LONGEST_LINE} characters")
            if size > LARGEST:
                raise ValueError(f"the numbers up to here take more than {LARGEST} bytes")
            if delimiter == "," and not doubts and re.search(r",0\d", line):
                doubts.append(f"line {number} has a number that begins with 0, as the digits after "
                              f"a decimal comma can: if it is one, {DECIMALS}")
            yield line if delimiter == "," else line.replace(",", ".")

    try:
        numbers = np.loadtxt(lines(), delimiter=delimiter, quotechar='"', comments=None, ndmin=2,
                             usecols=chosen if columns else None)
    except ValueError as error:  # NumPy's " at row 1" does not count the lines skipped
        what, is_numpy_s, _ = str(error).partition(" at row")
        step = ": write numbers as 1234.5, or choose columns of numbers by --columns"
        raise ValueError(f"line {reached}: {what}{step if is_numpy_s else ''}") from None
    return Table(numbers, None, [names[i] for i in chosen] if names else list(columns), doubts)


def _delimiter(line: str) -> str | None:
    """What separates the cells of a line; None: white space."""
    unquoted = re.sub('"[^"]*"', "0", line)
    for delimiter in ";\t,":
        if delimiter in unquoted:
            return delimiter
    return None if len(unquoted.split()) > 1 else ","


def _cells(line: str, delimiter: str | None) -> list[str]:
    """The cells of a line, each at most 40 printable characters."""
    import csv  # here, because `import tinyddpm` need not wait for it

    line = line.lstrip("# ").rstrip("\r\n")
    if delimiter is None:
        line, delimiter = " ".join(line.split()), " "
    [cells] = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    return ["".join(c for c in cell.strip()[:40] if c.isprintable()) for cell in cells]


def choose_columns(columns: Sequence[str], names: Sequence[str], count: int) -> list[int]:
    """The places of the chosen columns among `count`: by name, or by number from 0."""
    places: dict[str, int] = {str(i): i for i in range(count)}
    for i, name in enumerate(names):
        places[name] = -1 if name in places else i  # -1: two columns have this name
    has_no_names = not names and len(columns) == count and not set(columns) <= set(places)
    if not columns or list(columns) == list(names) or has_no_names:
        return list(range(count))
    chosen = [places.get(column, -1) for column in columns]
    if -1 in chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"columns = {','.join(columns)!r}: choose each once, among "
                         f"{', '.join(names[:10]) or 'the columns'} or by number, 0 to {count - 1}")
    return chosen
