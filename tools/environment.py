"""Make or refresh the virtual environment of the book: `python3 tools/environment.py [folder]`.

Standard library only, and syntax that an old Python can still parse, so that it can say what is wrong.
Nothing happens when the environment already fits requirements.txt, pyproject.toml and this Python.
"""

import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)


def fail(message):
    sys.exit("error: " + message)


def check_python(version, executable):
    """Stop with a message that says what to do if this Python is too old."""
    if tuple(version[:2]) < OLDEST:
        fail(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, but {executable} is {version[0]}.{version[1]}. "
             "Name another one: make PYTHON=python3.12 ...")


def fingerprint(root):
    """What the environment depends on: the pins, the package's metadata, this Python, and where the book stands."""
    digest = hashlib.sha256()
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    digest.update(f"{sys.version_info[0]}.{sys.version_info[1]} {root}".encode())
    return digest.hexdigest()


def works(python):
    """Whether `python` exists, starts, has pip, and is of this Python's version."""
    check = f"import pip, sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    try:
        return subprocess.call([python, "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def create(folder):
    """A new, empty environment; an old one in its place is dropped."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail("this Python cannot make environments. On Debian or Ubuntu: apt-get install python3-venv")
    subprocess.check_call([sys.executable, "-m", "venv", "--clear", folder])


def install(python, root):
    """Install the pins and this package (editable) in one resolution, so that pip sees every constraint."""
    command = [python, "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check",
               "-r", os.path.join(root, "requirements.txt"), "-e", root]
    if subprocess.call(command, cwd=root) != 0:
        fail("pip could not install requirements.txt (see above). Run the same command again to go on.")


def main(folder=".venv"):
    check_python(sys.version_info, sys.executable)
    folder = os.path.join(ROOT, folder)
    python, stamp = os.path.join(folder, "bin", "python"), os.path.join(folder, "installed-for")
    wanted = fingerprint(ROOT)
    if os.path.exists(stamp) and open(stamp).read() == wanted and os.path.exists(python):
        return
    if not works(python):
        create(folder)
    print(f"Installing the environment into {folder} (2 GB and more; once)", flush=True)
    install(python, ROOT)
    with open(stamp, "w") as file:
        file.write(wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
