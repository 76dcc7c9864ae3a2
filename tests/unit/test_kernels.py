"""On another processor nearly the same numbers.  (On this one the same bytes: test_survival.py.)"""
from kernels import BOUNDS, differences, numbers


def test_another_kernel_gives_nearly_the_same_numbers():
    here, plain = numbers("Haswell"), numbers("Prescott")
    if here and plain:  # elsewhere than on x86 there is another choice of them
        apart = differences(here, plain)
        assert all(apart[name] <= BOUNDS[name] for name in BOUNDS), apart
