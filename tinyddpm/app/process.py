"""Settings of the process that a command runs in.  `import tinyddpm` changes none of them."""
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # the names of glibc's malloc.h


def keep_freed_memory() -> None:
    """Tell glibc's malloc to keep up to 1 GB of freed memory; does nothing with another malloc.

    By default glibc returns a large freed array to the system, and the next array costs a page
    fault for every 4 kB, which takes longer than the arithmetic on it.
    """
    try:
        malloc = ctypes.CDLL(None)
        malloc.mallopt(M_MMAP_THRESHOLD, 31 * 2 ** 20)  # older glibc refuses more than 32 MB
        malloc.mallopt(M_TRIM_THRESHOLD, 2 ** 30)
    except (AttributeError, OSError, TypeError):
        pass  # not glibc
