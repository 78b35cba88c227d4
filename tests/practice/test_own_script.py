"""What a reader writes after the chapter: thirty lines from a folder with wrong labels to a cleaned one."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers.data.image_folders import load_folder
from helpers.practice.example import example_folder

SCRIPT = Path(__file__).parents[1] / "own_script.py"
N, RATE = 600, 0.2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(truth, folder of results) of the script on an example folder."""
    folder = tmp_path_factory.mktemp("own script")
    truth = example_folder(folder / "digits", n=N, rate=RATE)
    source = os.pathsep.join([str(SCRIPT.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, SCRIPT, folder / "digits", folder / "out"], cwd=folder, timeout=600,
                          capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return truth.set_index("file"), folder / "out"


def test_the_script_has_thirty_lines_at_most():
    assert len(SCRIPT.read_text("utf-8").splitlines()) <= 30


def test_most_of_the_top_suspects_are_wrong(run):
    truth, out = run
    table = pd.read_csv(out / "suspects.csv", dtype={"observed": str, "suggested": str})
    assert len(table) == N and set(table["file"]) == set(truth.index)
    true = truth.loc[table["file"], "true"].to_numpy()
    wrong = (truth["observed"] != truth["true"]).loc[table["file"]].to_numpy()
    assert wrong[:int(RATE * N / 2)].mean() >= 0.9 and wrong[:int(wrong.sum())].mean() >= 0.7
    assert (table["suggested"] == true)[wrong][:int(RATE * N / 2)].mean() >= 0.9


def test_the_cleaned_folder_can_be_loaded_and_has_fewer_wrong_labels(run):
    truth, out = run
    changes = pd.read_csv(out / "cleaned" / "changes.csv", dtype=str, keep_default_na=False)
    data = load_folder(out / "cleaned", size=8, mode="L")
    assert data.n == N - (changes["decision"] == "drop").sum() == N - 30
    moved = dict(zip(changes["written"], changes["file"]))
    wrong = [file.split("/")[0] != truth.loc[moved.get(file, file), "true"] for file in data.files]
    assert sum(wrong) < 0.5 * (truth["observed"] != truth["true"]).sum()


def test_the_gallery_shows_the_top_hundred(run):
    _, out = run
    assert (out / "suspects.html").read_text("utf-8").count("<article") == 100
