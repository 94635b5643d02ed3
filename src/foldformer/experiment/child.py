"""`python -m foldformer.experiment.child PARENT VERB ...`: the command; it ends when PARENT does.

A runner that is killed outright can end nobody. Its trainings would go on, and be in the way of the
runner that goes on in its place.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with_parent(parent: int) -> None:
    """Let the system send SIGTERM, after which a training saves, when the process `parent` ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it has ended meanwhile
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent(int(sys.argv.pop(1)))
    runpy.run_module("foldformer.cli.main", run_name="__main__", alter_sys=True)
