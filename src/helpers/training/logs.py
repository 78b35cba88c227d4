"""Logs of a training run while it is under way: a table in a file, or TensorBoard."""

import os
from pathlib import Path

import pandas as pd

from helpers import checks
from helpers.entry import entry
from helpers.files import write_atomically

EPOCH = "epoch"


@entry
class CSVLog:
    """A table in a file, with one row per recorded epoch; written whole or not at all.

    Pass it to `fit` as `log`. A run that begins anew replaces the table; one that resumes from a checkpoint keeps the
    rows up to there and goes on, so that no epoch stands twice.

    Parameters
    ----------
    path
        the file: a new one, or one that a CSVLog wrote.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from helpers.training import CSVLog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLog(Path(folder, "run.csv"))
    ...     log(0, {"loss": 0.7})
    ...     log(1, {"loss": 0.5})
    ...     print(log.path.read_text())
    epoch,loss
    0,0.7
    1,0.5
    <BLANKLINE>
    """

    def __init__(self, path: str | os.PathLike):
        self.path = checks.path("path", path)
        self._rows()

    @entry
    def begin(self, epoch: int) -> None:
        """Drop what stands there of later epochs; `fit` calls this with the epoch after which it goes on, or -1."""
        checks.integer("epoch", epoch, -1)
        rows = self._rows()
        if rows is not None:
            self._write(rows[rows[EPOCH] <= epoch])

    def __call__(self, epoch: int, values: dict[str, float]) -> None:
        """Add a row; one of the same epoch, and those after it, are replaced."""
        row, rows = pd.DataFrame([{EPOCH: epoch} | values]), self._rows()
        if rows is not None and len(rows):
            kept = rows[rows[EPOCH] < epoch]
            checks.require(list(rows) == list(row), "path", str(self.path), "a table with the columns "
                           f"{', '.join(row)}, as this run has them: delete the file, or name another one")
            row = pd.concat([kept, row]) if len(kept) else row
        self._write(row)

    def _rows(self) -> pd.DataFrame | None:
        """What the file holds; None if there is none, ValueError if it is another file."""
        if not self.path.exists():
            return None
        try:
            rows = pd.read_csv(self.path, dtype=str, keep_default_na=False)  # numbers stay as they are written
            fits = rows.columns[0] == EPOCH
            rows = rows.astype({EPOCH: int}) if fits else rows
        except (OSError, ValueError, IndexError):
            fits = False
        checks.require(fits, "path", str(self.path), "a new file, or a table that CSVLog wrote: its first column is "
                       "'epoch'")
        return rows

    def _write(self, rows: pd.DataFrame) -> None:
        write_atomically(self.path, rows.to_csv(index=False, lineterminator="\n").encode())


@entry
class TensorBoardLog:
    """Scalars for TensorBoard, one for each name, with the epoch as their step.

    Pass it to `fit` as `log`. Of a run that resumes, TensorBoard hides what was written after the checkpoint.

    Parameters
    ----------
    folder
        where TensorBoard's files go, one folder for each run.

    Raises
    ------
    ImportError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: str | os.PathLike):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("tensorboard is not installed, which TensorBoardLog writes for: pip install tensorboard"
                              ) from error
        self.folder: Path = checks.path("folder", folder)
        self._make, self._writer = SummaryWriter, None

    @entry
    def begin(self, epoch: int) -> None:
        """Hide what stands there of later epochs; `fit` calls this with the epoch after which it goes on, or -1."""
        self.close()
        self._writer = self._make(str(self.folder), purge_step=epoch + 1)

    def __call__(self, epoch: int, values: dict[str, float]) -> None:
        """Write the values of one epoch."""
        if self._writer is None:
            self._writer = self._make(str(self.folder))
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
