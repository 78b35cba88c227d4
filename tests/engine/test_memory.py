"""Free memory is what the tightest of all limits leaves."""

from types import SimpleNamespace

import psutil
import pytest
import torch

from helpers.engine import memory

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with 1,000 free bytes, without a container and without a limit of the process."""
    process = SimpleNamespace(rlimit=lambda which: (psutil.RLIM_INFINITY,) * 2,
                              memory_info=lambda: SimpleNamespace(vms=300))
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    monkeypatch.setattr(memory.psutil, "Process", lambda: process)
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path)
    return process, tmp_path


def test_without_limits_it_is_what_the_machine_has(machine):
    assert memory.free_memory(CPU) == 1000


@pytest.mark.parametrize("files", memory.CONTAINER_FILES)
def test_a_container_may_leave_less(machine, files):
    for file, content in zip(files, ("700\n", "200\n")):
        (machine[1] / file).parent.mkdir(exist_ok=True)
        (machine[1] / file).write_text(content)
    assert memory.free_memory(CPU) == 500
    (machine[1] / files[0]).write_text("max\n")
    assert memory.free_memory(CPU) == 1000


def test_a_limit_of_the_address_space_may_leave_less_and_never_less_than_nothing(machine):
    machine[0].rlimit = lambda which: (400, psutil.RLIM_INFINITY)
    assert memory.free_memory(CPU) == 100
    machine[0].rlimit = lambda which: (200, psutil.RLIM_INFINITY)
    assert memory.free_memory(CPU) == 0
