"""What is freed is kept, seen from the system's side: pages that have to be given again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from foldformer.train.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    large = [bytearray(2**23) for _ in range(16)]  # 128 MiB, of zeros that have to be written
    del large
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(min(faults() for _ in range(3)))
"""


def faults(setting: str) -> int:
    command = [sys.executable, "-c", FAULTS, setting]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_freed_memory_is_kept() -> None:
    pages = 16 * 2**23 // 4096
    assert faults("alone") > pages // 2
    assert faults("kept") < pages // 100
