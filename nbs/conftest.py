"""A chapter that nbval has run and passed, whole, needs no second run for the book: tools/execution.py keeps it.

Only with --nbval-current-env, for the execution cache belongs to one environment.
"""

import os
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from unittest import mock

import execution
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbval.plugin import IPyNbCell

ROOT = Path(__file__).resolve().parent.parent


class Run:
    """A notebook's run by nbval, the book's own execution once each of its cells has passed: one run for both.

    nbval compares a cell's outputs after it has merged its streams. The book shows them as they came, so nbclient puts
    them together from the kernel's messages. Made before the kernel starts.
    """

    def __init__(self, notebook):
        self.start, self.notebook, self.messages, self.request = perf_counter(), deepcopy(notebook), [], None
        self.code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        for index in self.code:
            self.notebook.cells[index].update(outputs=[], execution_count=None)
        self.left = set(self.code)
        self.client = NotebookClient(self.notebook, record_timing=False)
        self.client.reset_execution_trackers()

    def listen(self, kernel):
        """Hear what nbval's kernel says, and let it count its cells, as the book's kernels do."""
        about, get_message = kernel.kc.kernel_info(reply=True, timeout=60)["content"], kernel.get_message
        self.notebook.metadata["language_info"] = about["language_info"]

        def heard(stream, timeout=None):
            message = get_message(stream, timeout=timeout)
            self.messages += [message] if stream == "iopub" else []
            return message

        def execute(source, allow_stdin=None):
            self.messages.clear()
            self.request = kernel.kc.execute(source, allow_stdin=allow_stdin, stop_on_error=False)
            return self.request

        kernel.get_message, kernel.execute_cell_input = heard, execute

    def cell_passed(self, number, source, threads):
        """Give the `number`-th code cell, which has just been run, its outputs; keep the run if it was the last one.

        The cache knows it by the code that was run: where a pair is out of step with its `source`, nobody finds it.
        """
        index = self.code[number]
        self.client.clear_before_next_output = False
        try:
            for message in self.messages:
                if message["parent_header"].get("msg_id") == self.request:
                    self.client.process_message(message, self.notebook.cells[index], index)
        except CellExecutionComplete:
            self.left.discard(index)
        if not self.left and not execution.is_stale(ROOT):
            self.client.set_widgets_metadata()
            execution.put(source, self.notebook, perf_counter() - self.start, threads, ROOT)


RUN = pytest.StashKey[Run]()


def threads():
    """Threads of a kernel beside those of the other workers of pytest-xdist."""
    return execution.threads_each(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def pytest_sessionstart(session):
    # Once, before xdist's workers write into the cache side by side.
    if not hasattr(session.config, "workerinput") and session.config.getoption("nbval_current_env"):
        execution.drop_if_stale(ROOT)
        execution.open_cache(ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    if not isinstance(item, IPyNbCell) or item.parent.kernel is not None:
        return (yield)
    run = item.parent.stash[RUN] = Run(item.parent.nb)
    environment = execution.kernel_environment(threads())
    with mock.patch.dict(os.environ, environment, clear=True):
        result = yield  # the kernel starts here, in the environment of the book's own kernels
    run.listen(item.parent.kernel)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield  # raises where the cell fails
    if isinstance(item, IPyNbCell) and item.config.getoption("nbval_current_env"):
        item.parent.stash[RUN].cell_passed(item.cell_num, item.path.with_suffix(".md"), threads())
    return result
