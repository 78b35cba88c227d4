"""A copy of a folder of images in which labels are changed: class folders, images moved between them, some left out."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import pandas as pd

from helpers import checks
from helpers.data.class_names import composed_name
from helpers.data.image_folders import LEFT_BEHIND
from helpers.entry import entry
from helpers.files import temporary_beside
from helpers.practice.cleaning import DECISIONS, DROP, RELABEL

CHANGES = "changes.csv"
MANIFEST = ".written.json"  # in a folder that was written here: its files, none of which is anybody else's


@entry
def check_target(target: str | PathLike, *, source: str | PathLike | None = None, overwrite: bool = False) -> Path:
    """The Path of a folder that `write_cleaned_folder` may write: to be asked before hours of training, not after.

    Parameters
    ----------
    target
        the folder to be written: one that does not exist, or is empty.
    source
        the folder that will be copied. The target must not be in it, nor it in the target.
    overwrite
        a folder that `write_cleaned_folder` wrote, which is told by its hidden list of files, may be replaced, if no
        other file has come into it; no other folder.

    Raises
    ------
    ValueError
        If the folder must not, or cannot, be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from helpers.practice import check_target
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(check_target(Path(folder, "cleaned"), source=Path(folder, "photos")).name)
    cleaned
    """
    target = checks.path("target", target)
    if source is not None:
        inner, outer = target.resolve(), checks.path("source", source).resolve()
        checks.require(not inner.is_relative_to(outer) and not outer.is_relative_to(inner), "target", str(target),
                       f"a folder outside of {outer}, which is copied, and not around it")
    checks.require(not target.exists() or target.is_dir(), "target", str(target), "a folder; there is a file")
    if target.is_dir() and any(target.iterdir()):
        checks.require(overwrite, "target", str(target), "a new or an empty folder; this one has files in it. With "
                       "overwrite=True a folder that was written here before is replaced")
        checks.require((target / MANIFEST).is_file(), "target", str(target), "a folder that write_cleaned_folder "
                       f"wrote, with its {MANIFEST}: no other is overwritten")
        strangers = _strangers(target)
        checks.require(not strangers, "target", str(target), "a folder in which all is as write_cleaned_folder wrote "
                       f"it; {strangers[:3]} would be lost: move them away")
    above = next(folder for folder in target.absolute().parents if folder.exists())
    checks.require(above.is_dir() and os.access(above, os.W_OK | os.X_OK), "target", str(target),
                   f"in a folder that can be written to, unlike {above}")
    return target


@entry
def write_cleaned_folder(source: str | PathLike, changes: pd.DataFrame, target: str | PathLike, *,
                         overwrite: bool = False) -> Path:
    """Copy a folder of class folders with changes applied: relabelled images lie in the folder of their new class.

    Everything else is copied as it is: other files, folders within class folders, a test part. Hidden files and folders
    and what systems leave behind are passed over, as `load_folder` does. Where the new class has a file of that name,
    in capitals or not, the image gets another: "7.png" from the folder "cat" becomes "7 (cat).png". The list of changes
    is written as changes.csv into the target (changes-2.csv where the source has one, from an earlier round), with a
    column `written`: the new place of each image.

    The target is checked before anything is written (`check_target`) and appears when it is complete: an interrupted
    call leaves no folder of that name, and an older one as it was.

    Parameters
    ----------
    source
        the folder that was loaded, path/<class>/... or path/train/<class>/...; it is only read.
    changes
        as `clean_labels` returns them, with `file`, `observed`, `decision` and `label`.
    target
        the folder to write.
    overwrite
        replace a folder that an earlier call wrote.

    Returns
    -------
    Path
        That of the target.

    Raises
    ------
    ValueError
        If the target must not be written, a file of `changes` is missing or lies in another class's folder, a class is
        none of the folders, or a class would be left without files.
    """
    source = checks.path("source", source)
    checks.require(source.is_dir(), "source", str(source), "the folder that was loaded, which is missing there")
    target = check_target(target, source=source, overwrite=overwrite)
    files = list(_files(source))
    places = _places(source, files, changes)
    beside = temporary_beside(target)
    try:
        for file in files:
            if (place := places.get(file, file)) is not None:
                (beside / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / file, beside / place)
        written = ["" if places.get(name) is None else places[name].as_posix() for name in map(Path, changes["file"])]
        rounds = itertools.chain([CHANGES], (f"changes-{k}.csv" for k in itertools.count(2)))
        changes.assign(written=written).to_csv(beside / next(name for name in rounds if not (beside / name).exists()),
                                               index=False)
        own = [file.relative_to(beside).as_posix() for file in beside.rglob("*") if file.is_file()]
        (beside / MANIFEST).write_text(json.dumps(own), "utf-8")
        _put_in_place(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return target


def _strangers(target: Path) -> list[str]:
    """Files in a folder that was written here which were not written with it."""
    try:
        own = {MANIFEST, *json.loads((target / MANIFEST).read_text("utf-8"))}
    except (ValueError, TypeError) as error:
        raise ValueError(f"target={str(target)!r}: must have a list of its files in {MANIFEST}; {error}") from error
    return sorted({file.relative_to(target).as_posix() for file in target.rglob("*") if not file.is_dir()} - own)


def _put_in_place(beside: Path, target: Path) -> None:
    """Give the finished folder its name; a folder that had it goes when the new one is there."""
    old = beside.with_name(f"{beside.name}.old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(beside, target)
    except BaseException:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _files(source: Path) -> Iterator[Path]:
    """Files below `source`, relative to it, in order; through links to folders, but not round in circles."""
    for folder, inner, names in os.walk(source, followlinks=True):
        here = Path(folder).resolve()
        inner[:] = sorted(name for name in inner if _meant(name) and not here.is_relative_to((here / name).resolve()))
        yield from (Path(folder, name).relative_to(source) for name in sorted(names) if _meant(name))


def _meant(name: str) -> bool:
    return not name.startswith((".", "~$")) and name.lower() not in LEFT_BEHIND


def _places(source: Path, files: list[Path], changes: pd.DataFrame) -> dict[Path, Path | None]:
    """The new place of each file that is listed; None for a dropped one."""
    checks.instance("changes", changes, pd.DataFrame)
    wanted = ("file", "observed", "decision", "label")
    missing = [name for name in wanted if name not in changes.columns]
    checks.require(not missing, "changes.columns", list(changes.columns), f"with {', '.join(wanted)}: see clean_labels")
    known, taken, places, folders = set(files), {_folded(file) for file in files}, {}, set()
    for row, (name, observed, decision, label) in enumerate(zip(*(changes[column] for column in wanted))):
        where = f"changes, row {row}"
        checks.require(isinstance(name, str) and Path(name) in known, where, name, f"a file below {source}: changes of "
                       "data with names of files, from this folder")
        file = Path(name)
        checks.require(file not in places, where, name, "listed once")
        folder = _class_folder(where, file, str(observed))
        folders.add(folder)
        checks.one_of(f"{where}, decision", decision, DECISIONS)
        places[file] = None if decision == DROP else file
        if decision == RELABEL:
            moved = _sister(source, where, folder, str(label)) / file.relative_to(folder)
            places[file] = _free_place(moved, folder.name, taken) if moved != file else file
            taken.add(_folded(places[file]))
    left = {parent for file in files if (place := places.get(file, file)) is not None for parent in place.parents}
    lost = sorted(folder.as_posix() for folder in folders - left)
    checks.require(not lost, "changes", f"<no file is left in {', '.join(lost)}>", "changes that leave each class some")
    return places


def _class_folder(where: str, file: Path, observed: str) -> Path:
    """The folder of the file's class: the first part of its path or, in train/, the second."""
    for depth in (0, 1):
        inside = len(file.parts) > depth + 1 and file.parts[:depth] in ((), ("train",))
        if inside and composed_name(file.parts[depth]) == composed_name(observed):
            return Path(*file.parts[:depth + 1])
    checks.require(False, where, file.as_posix(), f"in the folder of its observed class, {observed!r}. A folder whose "
                   "labels stand in a list is cleaned by writing another list")


def _sister(source: Path, where: str, folder: Path, label: str) -> Path:
    """The folder of the class `label`, beside that of the old class."""
    found = {composed_name(other.name): other.name for other in (source / folder.parent).iterdir()
             if other.is_dir() and _meant(other.name)}
    return folder.parent / found[checks.one_of(f"{where}, label", composed_name(label), sorted(found))]


def _free_place(place: Path, old: str, taken: set[str]) -> Path:
    """`place`, or one beside it with a name that no file has: "7 (cat).png", "7 (cat 2).png" and so on."""
    numbers = itertools.chain([""], (f" {k}" for k in itertools.count(2)))
    names = (f"{place.stem} ({old}{number}){place.suffix}" for number in numbers)
    candidates = itertools.chain([place], map(place.with_name, names))
    return next(candidate for candidate in candidates if _folded(candidate) not in taken)


def _folded(file: Path) -> str:
    """What two files have in common that some systems take for one: capitals and Unicode's forms do not count."""
    return composed_name(file.as_posix()).casefold()
