"""What nbval has run and passed, kept as the book's own execution, so that a chapter is executed once for both.

nbval compares a cell's outputs after it has merged its streams. The book shows them as they came, so they are put
together here from the kernel's messages, by nbclient, as in a run of tools/execution.py. nbs/conftest.py calls this.
"""

from copy import deepcopy
from time import perf_counter

import execution
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete


class Run:
    """A notebook's run by nbval. Made before its kernel starts; keep it when each of its cells has passed."""

    def __init__(self, notebook):
        self.start, self.notebook = perf_counter(), deepcopy(notebook)
        self.indices = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        for index in self.indices:
            self.notebook.cells[index].update(outputs=[], execution_count=None)
        self.passed, self.messages, self.request = set(), [], None
        self.client = NotebookClient(self.notebook, record_timing=False)  # as in tools/execution.py
        self.client.reset_execution_trackers()

    def listen(self, kernel):
        """Hear what nbval's kernel says, and let it count its cells, as the book's kernels do."""
        language = kernel.kc.kernel_info(reply=True, timeout=60)["content"]["language_info"]
        self.notebook.metadata["language_info"] = language
        get_message = kernel.get_message

        def heard(stream, timeout=None):
            message = get_message(stream, timeout=timeout)
            if stream == "iopub":
                self.messages.append(message)
            return message

        def execute(source, allow_stdin=None):
            self.messages.clear()
            self.request = kernel.kc.execute(source, allow_stdin=allow_stdin, stop_on_error=False)
            return self.request

        kernel.get_message, kernel.execute_cell_input = heard, execute

    def cell_passed(self, number):
        """Give the `number`-th code cell, which has just been run, its outputs."""
        index = self.indices[number]
        self.client.clear_before_next_output = False
        try:
            for message in self.messages:
                if message["parent_header"].get("msg_id") == self.request:
                    self.client.process_message(message, self.notebook.cells[index], index)
        except CellExecutionComplete:
            self.passed.add(number)

    def whole(self):
        """Whether every code cell has passed."""
        return len(self.passed) == len(self.indices)

    def keep(self, source, threads, root=execution.ROOT):
        """Put the run of the chapter `source` into the execution cache, unless the sources moved on meanwhile.

        The cache knows it by the code that was run: where a pair is out of step with its source, nobody finds it.
        """
        if execution.is_stale(root):
            return
        self.client.set_widgets_metadata()
        seconds = perf_counter() - self.start
        execution.put(execution.open_cache(root), source, self.notebook, seconds, threads)
