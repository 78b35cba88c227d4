"""How much memory there is for runs: of the machine, of the container, of the process."""

from pathlib import Path

import psutil
import torch

# What a container may take and has taken, of version 2 of Linux's control groups and of version 1.
CONTAINER_FILES = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on `device`: on the CPU the least of what all limits leave."""
    if device.type == "cpu":
        return max(0, min([psutil.virtual_memory().available, *_left_by_container(), *_left_by_process()]))
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # free within torch
    return torch.cuda.mem_get_info(device)[0] + cached


def _left_by_container() -> list[int]:
    for limit, used in CONTAINER_FILES:
        try:
            return [int((CONTROL_GROUPS / limit).read_text()) - int((CONTROL_GROUPS / used).read_text())]
        except (OSError, ValueError):  # no such file; "max"
            continue
    return []


def _left_by_process() -> list[int]:
    process = psutil.Process()
    if not hasattr(process, "rlimit"):  # not Linux
        return []
    limit = process.rlimit(psutil.RLIMIT_AS)[0]
    return [] if limit == psutil.RLIM_INFINITY else [limit - process.memory_info().vms]
