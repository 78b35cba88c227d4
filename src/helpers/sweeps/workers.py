"""Processes that compute the cells of a table."""

import multiprocessing
import os
import threading
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext


def worker_pool(workers: int) -> AbstractContextManager[Executor | None]:
    """A pool of new processes that end with this one, however it ends; None for one worker, who computes here."""
    if workers == 1:
        return nullcontext()
    # A fork server may have an old environment.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process with its parent: one that was killed tells nobody, and its workers would go on for hours."""
    threading.Thread(target=_wait_and_end, args=(multiprocessing.parent_process(),), daemon=True).start()


def _wait_and_end(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
