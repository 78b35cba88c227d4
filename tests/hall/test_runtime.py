"""Profile, device and provenance."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from helpers import runtime


def test_profile_is_quick_on_any_device_unless_the_environment_says_which(monkeypatch):
    monkeypatch.delenv(runtime.PROFILE_VARIABLE, raising=False)
    for cuda, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        assert (runtime.profile(), runtime.best_device()) == ("quick", device)
    for chosen in ("quick", "full"):
        monkeypatch.setenv(runtime.PROFILE_VARIABLE, chosen)
        assert runtime.profile() == chosen
    monkeypatch.setenv(runtime.PROFILE_VARIABLE, "")
    assert runtime.profile() == "quick"


def test_an_unknown_profile_is_refused(monkeypatch):
    monkeypatch.setenv(runtime.PROFILE_VARIABLE, "fast")
    with pytest.raises(ValueError, match="SIGNAL_FIRST_PROFILE='fast': must be one of 'quick', 'full'"):
        runtime.profile()


def test_provenance_names_machine_and_versions_in_what_json_can_hold():
    told = json.loads(json.dumps(runtime.provenance()))
    assert told["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert told["threads"] == torch.get_num_threads() and told["device"] and told["source"] == runtime.source_hash()


def test_source_hash_changes_with_any_module_and_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "FOLDER", tmp_path)
    seen = set()
    for name, content in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", ""), ("c.txt", "no module")):
        (tmp_path / name).write_text(content)
        seen.add(runtime.source_hash())
    assert len(seen) == 3 and all(len(digest) == 12 for digest in seen)


def test_source_hash_is_the_same_with_the_line_ends_of_any_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "FOLDER", tmp_path)
    seen = []
    for end in (b"\n", b"\r\n"):
        (tmp_path / "a.py").write_bytes(b"import helpers.a\nx = 1\n".replace(b"\n", end))
        seen.append((runtime.source_hash(), runtime.source_hash("a"), runtime.code_fingerprints("a")))
    assert seen[0] == seen[1]


def test_source_hash_of_a_module_counts_what_it_imports_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "FOLDER", tmp_path)
    top = "from helpers import (  # both (x)\n    direct,\n    sub as name,\n)\nfrom helpers.base import x\nimport os"
    files = {"wing/top": top, "direct": "from helpers.wing import near, far as x", "wing/near": "import helpers.kit",
             "wing/far": "from helpers.whole import offered", "base": "def f():\n    import helpers.wing.inner",
             "wing/inner": "from helpers.other.deep import y", "other/deep": "", "whole/one": "", "whole/two": "",
             "kit/tool": ""}
    unread = ("__init__", "wing/__init__", "wing/other", "other/near", "name", "both", "x", "y")
    files |= dict.fromkeys(("sub", *unread), "")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(content)
    before = runtime.source_hash("wing.top")
    for name, content in files.items():
        (tmp_path / f"{name}.py").write_text(content + "\n# edited")
        assert (runtime.source_hash("wing.top") == before) == (name in unread), name
        (tmp_path / f"{name}.py").write_text(content)
    assert runtime.source_hash("wing.top") == before != runtime.source_hash("base")


@pytest.mark.parametrize(("module", "elsewhere"), [("training.loop", "engine/reduced.py"),
                                                   ("engine.descent", "training/loop.py")])
def test_networks_and_the_engine_do_not_count_in_each_others_hash(tmp_path, monkeypatch, module, elsewhere):
    """Stored cells and checkpoints of one survive an edit of the other."""
    copy = shutil.copytree(runtime.FOLDER, tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    before = runtime.source_hash(module)
    monkeypatch.setattr(runtime, "FOLDER", copy)
    assert runtime.source_hash(module) == before
    for path, same in ((copy / elsewhere, True), (copy / f"{module.replace('.', '/')}.py", False)):
        path.write_text(path.read_text("utf-8") + "\n# edited\n", "utf-8")
        assert (runtime.source_hash(module) == before) == same


FORK = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import numpy as np
from helpers import SignalNoise, descend

def run(seed):
    return descend(SignalNoise(100, 400, n_snr2=4.0), 10, 0.01, 0.1, 20, seed).margins

here = np.concatenate([run(seed) for seed in range(3)])
with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
    there = np.concatenate(list(pool.map(run, range(3))))
assert np.array_equal(here, there)
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system cannot fork")
def test_a_pool_of_forked_processes_trains_although_its_parent_ran_threads():
    """Without help the children wait for ever for OpenMP threads that a fork does not copy; hence the time limit."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], env=environment, check=True, timeout=300)
