"""Files: written whole or not at all, downloaded once and compared with their hash."""

import contextlib
import hashlib
import logging
import os
import re
import time
import uuid
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from types import ModuleType

from helpers import checks
from helpers.entry import entry

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CHUNK = 2**20  # bytes
TEMPORARY = re.compile(r"\..*\.[0-9a-f]{32}", re.DOTALL)  # names by temporary_beside


def _sha256_of(path: str | PathLike) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(checks.path("path", path), "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@entry
def fetch_file(url: str, sha256: str, path: str | PathLike, *, progress: bool = True, timeout: float = 30) -> Path:
    """The Path of the file of that checksum: the one at `path`, or downloaded from `url` to there.

    pooch downloads into a temporary file beside `path`, checks it, and only then gives it its name: an interrupted
    download leaves nothing behind that could be taken for the file. A file at `path` with another checksum is not
    touched, and refused.

    Parameters
    ----------
    url
        where the file can be downloaded.
    sha256
        its SHA-256 checksum, in hexadecimal.
    path
        the file's name on this machine.
    progress
        whether to show a bar.
    timeout
        seconds, for each wait on the server.

    Raises
    ------
    ValueError
        If there is another file, or the download fails; it says what to put where.
    ImportError
        If the file has to be downloaded and pooch is not installed.
    """
    path = checks.path("path", path)
    checks.require("://" in url, "url", url, "an address, such as https://...")
    checks.require(re.fullmatch("[0-9a-f]{64}", sha256), "sha256", sha256, "64 hexadecimal digits, in lower case")
    timeout = checks.positive("timeout", timeout)
    by_hand = f"the file {url} with the SHA-256 checksum {sha256}"
    if path.exists():
        found = _sha256_of(path) if path.is_file() else "no file"
        checks.require(found == sha256, "path", str(path), f"{by_hand}; this is {found}: remove it, or put that there")
        return path
    pooch = _pooch()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _quiet(pooch):
            pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent,
                           downloader=pooch.HTTPDownloader(progressbar=progress, timeout=timeout))
    except (OSError, ValueError) as error:  # no network, no such page, a full disk; another checksum
        raise ValueError(f"path={str(path)!r}: must be {by_hand}. Downloading it gave {type(error).__name__}: {error}. "
                         f"Where there is no network, download it elsewhere and put it there") from error
    return path


def _pooch() -> ModuleType:
    try:
        import pooch
    except ImportError as error:
        raise ImportError("pooch is not installed, which downloads files: pip install pooch") from error
    return pooch


@contextlib.contextmanager
def _quiet(pooch: ModuleType) -> Iterator[None]:
    """Without pooch's own lines on standard error; the level is put back."""
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
@entry
def alone(path: str | PathLike) -> Iterator[None]:
    """Inside, no other process or thread is inside for the same `path`: it waits. A killed one keeps nobody waiting.

    The file stays, empty. On Windows without WSL nobody waits.
    """
    with open(checks.path("path", path), "ab") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@entry
def temporary_beside(path: Path) -> Path:
    """A new hidden name beside `path`, for what is to be renamed to it: never longer than a name may be."""
    return path.absolute().with_name(f".{path.name[:50]}.{uuid.uuid4().hex}")


@entry
def write_atomically(path: str | PathLike, content: bytes) -> None:
    """Write `content` to `path` through a temporary file in the same folder and one rename."""
    path = checks.path("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@entry
def remove_leftovers(folder: str | PathLike, *, older: float = 3600.0) -> None:
    """Remove from a folder what `write_atomically` left there when it was killed, if it is `older` seconds or more."""
    checks.real("older", older, 0.0)
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # its writer has just renamed it
            if TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime >= older:
                path.unlink()
