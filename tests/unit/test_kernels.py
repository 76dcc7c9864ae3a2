"""On another processor nearly the same numbers.  (On this one the same bytes: test_survival.py.)"""
from kernels import BOUNDS, differences, numbers


def test_another_kernel_gives_nearly_the_same_numbers():
    found, reference = numbers("Haswell"), numbers("Prescott")
    if found and reference:  # only on x86 can OpenBLAS be told to use these kernels
        difference = differences(found, reference)
        assert all(difference[name] <= BOUNDS[name] for name in BOUNDS), difference
