"""What is asked of the operating system."""

import subprocess
import sys
import textwrap

import pytest

TRIAL = textwrap.dedent(
    """
    import resource
    import torch
    from caesura.system import freed_memory_kept

    def taken(mebibytes, times=20):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(times):
            torch.ones(mebibytes * 2**18)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        return (after - before) * resource.getpagesize() / (mebibytes * 2**20)

    def resident():
        with open("/proc/self/statm") as numbers:
            return int(numbers.read().split()[1]) * resource.getpagesize() / 2**20

    with freed_memory_kept():
        taken(64)
        print(taken(64))
        kept = resident()
    print(kept - resident())
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of Linux")
def test_large_memory_is_taken_once_where_freed_memory_is_kept_and_goes_back_after():
    """Of twenty tensors in turn: taken anew each time, there would be twenty times their size."""
    done = subprocess.run([sys.executable, "-c", TRIAL], capture_output=True, text=True, check=True)
    taken_anew, given_back = map(float, done.stdout.split())
    assert taken_anew < 1
    assert given_back > 50  # of 64 MiB
