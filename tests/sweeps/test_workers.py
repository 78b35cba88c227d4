"""Processes that compute cells."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.sweeps.workers import worker_pool

SCRIPT = """
import os, sys, time
from helpers.sweeps.workers import worker_pool


def work(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)


if __name__ == "__main__":
    with worker_pool(2) as pool:
        list(pool.map(work, sys.argv[1:]))
"""


def is_running(pid):
    """Whether a process is there and no zombie, which is what stays of one that nobody asks after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.05)
    return condition()


def test_one_worker_computes_here():
    with worker_pool(1) as pool:
        assert pool is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_workers_in_the_midst_of_a_cell_end_with_their_parent(tmp_path, end):
    script, told = tmp_path / "main.py", [tmp_path / "0", tmp_path / "1"]
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, script, *told], env=environment)
    try:
        assert within(120, lambda: all(path.exists() and path.read_text() for path in told)), "no worker began"
        workers = [int(path.read_text()) for path in told]
        assert all(map(is_running, workers))
        process.send_signal(end)
        assert process.wait(30) == -end
        assert within(30, lambda: not any(map(is_running, workers)))
    finally:
        process.kill()
        process.wait()
