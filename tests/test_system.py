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

    with freed_memory_kept():
        taken(64)
        print(taken(64))
    taken(16)
    print(taken(16))
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of Linux")
def test_large_memory_is_taken_once_where_freed_memory_is_kept():
    """Of twenty tensors in turn: taken anew each time, there would be twenty times their size."""
    done = subprocess.run([sys.executable, "-c", TRIAL], capture_output=True, text=True, check=True)
    within, after = map(float, done.stdout.split())
    assert within < 1
    assert after < 1
