"""Calls each public entry with each of its arguments in turn replaced by bad values; prints what came of it.

    python tests/bad_values.py FIRST    a JSON line before and after each call, from call number FIRST on

Alone in a process, because a bad value may hang it or fill its memory.
"""

import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import typing
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from entries import arguments, entries
from good_arguments import CASES, good_arguments

SECONDS, MEMORY = 5, 2 * 2**30  # of the processor, so that a busy machine makes no hang; bytes
HUGE = 10**400


class TooLong(BaseException):
    pass


def scalars(value):
    """Bad values in place of a number."""
    return {"None": None, "nan": np.nan, "inf": np.inf, "-inf": -np.inf, "negative": -abs(value) or -1, "zero": 0,
            "empty": [], "shape": [[value]], "bytes": b"x", "text": "x", "bool": True, "complex": 1j, "huge": HUGE,
            "object": object()} | ({"fraction": value + 0.5} if isinstance(value, int) else {})


def arrays(value):
    """Bad values in place of an array: of its type where they can be."""
    tensor, array = isinstance(value, torch.Tensor), np.asarray(value)
    like = torch.as_tensor if tensor else np.asarray
    dtype = torch.float64 if tensor else float
    bad = {"None": None, "empty": like(array[:0] if array.ndim else []), "shape": like(array[None]),
           "complex": like(array + 1j), "text": "x", "bytes": b"x", "bool": True, "huge": HUGE, "object": object(),
           "strings": np.full(array.shape, "x"), "objects": np.full(array.shape, None, object)}
    if array.dtype.kind != "b":
        bad |= {"negative": like(-np.abs(array) - 1), "zero": like(np.zeros_like(array))}
    for name in ("nan", "inf", "-inf"):
        with_one = array.astype(float).copy()
        with_one[(-1,) * array.ndim] = float(name)
        bad[name] = torch.as_tensor(with_one, dtype=dtype) if tensor else with_one
    return bad


def others(value):
    """Bad values in place of anything else."""
    return {"None": None, "number": 7.5, "empty": type(value)() if isinstance(value, (str, list, tuple, dict)) else [],
            "bytes": b"x", "text": "no such thing", "bool": True, "complex": 1j, "object": object()}


def bad_values(value):
    if isinstance(value, bool) or value is None:
        return {name: bad for name, bad in others(value).items() if name != "bool"}
    if isinstance(value, (int, float)):
        return scalars(value)
    numeric = isinstance(value, (np.ndarray, torch.Tensor))
    if isinstance(value, (list, tuple)) and value:
        try:
            numeric = np.asarray(value).dtype.kind in "biuf"
        except ValueError:
            numeric = False
    return arrays(value) if numeric else others(value)


def allowed(hint, name, case, bad):
    """Whether the type alone says that the value may stand there, or the case does."""
    members = typing.get_args(hint) or (hint,)
    return (bad == "None" and type(None) in members) or bad in case.allowed.get(name, "").split()


def calls():
    """(wing, entry, argument, name of the bad value) of all that are made; an entry's first is the good one."""
    for wing in CASES:
        found = entries(wing)
        for name, case in good_arguments(wing).items():
            hints = arguments(found[name])
            yield wing, name, "", ""
            for argument, value in case.arguments.items():
                yield from ((wing, name, argument, bad) for bad in bad_values(value)
                            if not allowed(hints[argument], argument, case, bad))


def call(wing, name, argument, bad):
    case = good_arguments(wing)[name]
    given = dict(case.arguments)
    if argument:
        given[argument] = bad_values(given[argument])[bad]
    target = entries(wing)[name]
    if case.on is not None:
        return getattr(case.on, name.partition(".")[2])(**given)
    by_place = [given.pop(one.name) for one in inspect.signature(target).parameters.values()
                if one.kind is one.POSITIONAL_ONLY]
    return target(*by_place, **given)


def outcome(wing, name, argument, bad):
    """"accepted", "clear", "obscure" or "hang", and the error in words."""
    def stop(*_):
        raise TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        call(wing, name, argument, bad)
    except TooLong:
        return "hang", ""
    except BaseException as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        said = f"{type(error).__name__}: {error}"
        named = isinstance(error, (ValueError, TypeError, MemoryError)) and is_word(argument, str(error))
        missing = isinstance(error, OSError) and error.filename is not None  # Python says which file or folder
        return "clear" if named or missing else "obscure", said[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "accepted", ""


def is_word(argument, text):
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text).split()
    return bool(argument) and argument in words


def main(first):
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        limited = False
        for number, (wing, name, argument, bad) in enumerate(calls()):
            if number < first:
                continue
            if not limited:
                limited = True
                size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
            key = [number, wing, name, argument, bad]
            print(json.dumps(key), file=out, flush=True)
            print(json.dumps([*key, *outcome(wing, name, argument, bad)]), file=out, flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main(int(sys.argv[1]))
