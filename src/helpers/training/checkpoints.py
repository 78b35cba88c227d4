"""The state of a training run in a file, so that a killed run goes on where it was."""

import dataclasses
import hashlib
import io
import json
import os
import zlib
from pathlib import Path

import numpy as np
import torch

from helpers.files import write_atomically
from helpers.runtime import CHECKPOINTS_VARIABLE

FORMAT = "signal-first checkpoint 1"
SECONDS = 60.0  # between two checkpoints
SERIES = ("margins", "predicted", "test_predicted")


class CheckpointError(ValueError):
    """A file that is not the whole checkpoint of this run."""


def folder():
    """The folder that SIGNAL_FIRST_CHECKPOINTS names, where runs that are given no file keep theirs; None if unset."""
    named = os.environ.get(CHECKPOINTS_VARIABLE)
    return Path(named).expanduser() if named else None


def identity(settings, seed, times, data, model):
    """What decides a run's numbers, as text: a checkpoint made by another identity is refused."""
    pixels = [zlib.crc32(np.ascontiguousarray(getattr(data, field.name))) for field in dataclasses.fields(data)
              if isinstance(getattr(data, field.name), np.ndarray)]
    weights = [[name, list(value.shape)] for name, value in model.state_dict().items()]
    start = zlib.crc32(b"".join(value.detach().cpu().numpy().tobytes() for value in model.parameters()))
    parts = {"settings": settings, "seed": int(seed), "times": [int(time) for time in times], "data": pixels,
             "weights": zlib.crc32(json.dumps(weights).encode()), "initial weights": start}
    return json.dumps({"format": FORMAT} | parts, sort_keys=True)


def file_in(place, made_by):
    """The checkpoint's file: `place` itself or, in a folder, a file named after the run's identity."""
    place = Path(place)
    inside = place.is_dir() or place == folder()
    return place / f"{hashlib.sha256(made_by.encode()).hexdigest()[:24]}.pt" if inside else place


def save(path, made_by, run):
    """Write the state of `run` to `path`, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"made_by": made_by, "epoch": run.epoch, "seconds": run.seconds, "model": run.model.state_dict(),
                "optimizer": run.optimizer.state_dict(), "loss": run.loss.state_dict(),
                "series": {name: torch.from_numpy(np.array(getattr(run, name))) for name in SERIES}}, buffer)
    write_atomically(path, buffer.getvalue())


def restore(path, made_by, run):
    """Put the state at `path`, if there is one, into `run`. Raises CheckpointError."""
    path = Path(path)
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location=run.device, weights_only=True)
        known = state["made_by"]
    except Exception as error:  # a damaged file raises a dozen kinds
        raise CheckpointError(f"checkpoint={str(path)!r}: must be a whole checkpoint; {type(error).__name__}: {error}. "
                              "Delete it to begin anew") from error
    if known != made_by:
        raise CheckpointError(f"checkpoint={str(path)!r}: must be of this run, but it differs in "
                              f"{_difference(known, made_by)}. Delete it, or name another file")
    for name in ("model", "optimizer", "loss"):
        getattr(run, name).load_state_dict(state[name])
    for name, values in state["series"].items():
        setattr(run, name, list(values.cpu().numpy()))
    run.seconds = state["seconds"]
    run.resume(state["epoch"])


def _difference(known, made_by):
    known, made_by = json.loads(known), json.loads(made_by)
    return ", ".join(name for name in made_by if known.get(name) != made_by[name])
