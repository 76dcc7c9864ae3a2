"""Write files so that nothing is lost, and lock a file for one process."""
import glob
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from . import ranks


def replace(path: Path, write: Callable[[BinaryIO], Any], patience: float = 10.0) -> None:
    """Write a file under a temporary name by write(file), then rename it to `path`.

    The old file stays until all of the new one is on the disk.  The temporary name has the process
    id: two processes may write one path, and the last one wins.
    patience: seconds to try again on Windows, while another program has the old file open.
    Of several ranks only rank 0 writes.
    OSError: the file cannot be written; the temporary file is removed.
    """
    if ranks.rank() > 0:
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "w+b") as file:  # "+": np.save then reports why writing fails
            write(file)
            file.flush()
            os.fsync(file.fileno())
        _rename(partial, path, patience)
        sync_folder(path.parent)
    except OSError as error:
        reason = f"{error.strerror or error}, and what was there before is kept"
        if _is_held(error, path):
            reason += "; close the program that has the file open, such as Excel"
        raise OSError(error.errno, reason, str(path)) from None
    finally:
        with suppress(OSError):  # it is renamed by now, or was never created
            partial.unlink()


def _rename(partial: Path, path: Path, patience: float) -> None:
    """os.replace, which Windows refuses while Excel or a virus scanner has `path` open."""
    pause, waited = 0.05, 0.0
    while True:
        try:
            return os.replace(partial, path)
        except PermissionError as error:
            if not _is_held(error, path) or waited >= patience:
                raise
            time.sleep(pause)
            waited, pause = waited + pause, 1.5 * pause


def _is_held(error: OSError, path: Path) -> bool:
    """Whether another program may have the file open, so that Windows refuses to replace it."""
    return sys.platform == "win32" and isinstance(error, PermissionError) and path.is_file()


def signals_to_end() -> list[signal.Signals]:
    """The signals that ask a process to end: Windows has no SIGHUP, and only Windows SIGBREAK."""
    names = ("SIGTERM", "SIGHUP", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C and the signals that act like it take effect at the end of the block.

    Python ignores an exception raised while it deletes an object: a Ctrl-C at such a moment would
    be lost.
    """
    held, handlers = [], {}
    if threading.current_thread() is threading.main_thread():  # only it may set handlers
        for number in (signal.SIGINT, *signals_to_end()):
            if callable(signal.getsignal(number)):  # it is not ignored
                handlers[number] = signal.getsignal(number)
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: held.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def forget_partials(path: Path) -> None:
    """Remove the temporary files of killed processes.  No other process may be writing `path`."""
    for partial in path.parent.glob(glob.escape(path.name) + ".*.partial"):
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on the disk, where the system supports that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def lock(file: IO) -> None:
    """Lock an open file until it is closed or the process ends.  OSError: another has the lock."""
    if sys.platform == "win32":
        import msvcrt
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
