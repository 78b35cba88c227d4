"""The state of a training run in a file, so that a killed run goes on where it was."""

import dataclasses
import hashlib
import io
import json
import os
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from helpers import checks
from helpers.data.images import LabelledData
from helpers.files import write_atomically
from helpers.runtime import CHECKPOINTS_VARIABLE
from helpers.training.callables import describe

FORMAT = "signal-first checkpoint 3"  # before the state, a line with its SHA-256 checksum
SECONDS = 60.0  # between two checkpoints
SERIES = ("margins", "predicted", "test_predicted", "logged")


class CheckpointError(ValueError):
    """A file that is not the whole checkpoint of this run."""


def checkpoint_folder() -> Path | None:
    """The folder that SIGNAL_FIRST_CHECKPOINTS names, where runs that are given no file keep theirs; None if unset."""
    named = os.environ.get(CHECKPOINTS_VARIABLE)
    return Path(named).expanduser() if named else None


def checkpoint_identity(settings: dict, seed: int, times: Int[np.ndarray, " T"], data: LabelledData,
                        model: nn.Module) -> str:
    """What decides a run's numbers, as text: a checkpoint made by another identity is refused.

    Functions, modules and the network count as far as `describe` sees them.
    """
    pixels = [zlib.crc32(np.ascontiguousarray(getattr(data, field.name))) for field in dataclasses.fields(data)
              if isinstance(getattr(data, field.name), np.ndarray)]
    weights = [[name, list(value.shape)] for name, value in model.state_dict().items()]
    start = zlib.crc32(b"".join(value.detach().cpu().numpy().tobytes() for value in
                                (*model.parameters(), *model.buffers())))
    parts = {"settings": settings, "seed": int(seed), "times": [int(time) for time in times], "data": pixels,
             "weights": zlib.crc32(json.dumps(weights).encode()), "initial weights": start,
             "network": hashlib.sha256(describe(model).encode()).hexdigest()}
    return json.dumps({"format": FORMAT} | parts, sort_keys=True)


class Checkpoint:
    """The file that keeps one `TrainingRun`.

    Parameters
    ----------
    place
        the file or, where it is a folder, the folder of a file that is named after the run's identity.
    made_by
        the run's `checkpoint_identity`.
    """

    def __init__(self, place: str | os.PathLike, made_by: str):
        place, self.made_by, self.saved = checks.path("checkpoint", place), made_by, time.monotonic()
        inside = place.is_dir() or place == checkpoint_folder()
        self.path = place / f"{hashlib.sha256(made_by.encode()).hexdigest()[:24]}.pt" if inside else place

    def save(self, run, *, finished: bool) -> None:
        """Write the state of `run`, whole or not at all, if it has finished or the last writing is `SECONDS` ago."""
        if not finished and time.monotonic() - self.saved < SECONDS:
            return
        buffer = io.BytesIO()
        torch.save({"made_by": self.made_by, "epoch": run.epoch, "seconds": run.seconds,
                    "model": run.model.state_dict(), "optimizer": run.optimizer.state_dict(),
                    "loss": run.loss.state_dict(), "kept": run.kept,
                    "scheduler": None if run.scheduler is None else run.scheduler.state_dict(),
                    "series": {name: torch.from_numpy(np.array(getattr(run, name))) for name in SERIES}}, buffer)
        state = buffer.getvalue()
        write_atomically(self.path, hashlib.sha256(state).hexdigest().encode() + b"\n" + state)
        self.saved = time.monotonic()

    def restore(self, run) -> None:
        """Put the state in the file, if there is one, into `run`. Raises CheckpointError."""
        if not self.path.exists():
            return
        state = self._read(run.device)
        for name in ("model", "optimizer", "loss"):
            getattr(run, name).load_state_dict(state[name])
        for name in SERIES:
            setattr(run, name, list(state["series"][name].cpu().numpy()))
        if run.scheduler is not None:
            run.scheduler.load_state_dict(state["scheduler"])
        run.seconds, run.kept = state["seconds"], state["kept"]
        run.resume(state["epoch"])

    def _read(self, device: torch.device) -> dict:
        """The state in the file, once it is known to be whole and of this run."""
        try:
            checksum, _, content = self.path.read_bytes().partition(b"\n")
            if checksum.decode("ascii") != hashlib.sha256(content).hexdigest():
                raise ValueError("its content does not have its checksum")
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            known = state["made_by"]
        except Exception as error:  # what is no checkpoint raises a dozen kinds
            raise CheckpointError(f"checkpoint={str(self.path)!r}: must be a whole checkpoint; "
                                  f"{type(error).__name__}: {error}. Delete it to begin anew") from error
        if known != self.made_by:
            raise CheckpointError(f"checkpoint={str(self.path)!r}: must be of this run, but it differs in "
                                  f"{_difference(known, self.made_by)}. Delete it, or name another file")
        return state


def _difference(known: str, made_by: str) -> str:
    """The names of the parts in which two identities differ."""
    known, made_by = json.loads(known), json.loads(made_by)
    return ", ".join(name for name in made_by if known.get(name) != made_by[name])
