"""The example: a folder of digits, some of them in the folder of another digit, and the truth in a table."""

import numpy as np
import pytest
from PIL import Image

from helpers.practice.example import LOOK_ALIKES, example_folder


def test_each_image_lies_in_the_folder_of_its_observed_label(tmp_path):
    truth = example_folder(tmp_path / "digits", n=200)
    files = sorted(file.relative_to(tmp_path / "digits").as_posix() for file in (tmp_path / "digits").rglob("*.png"))
    assert files == sorted(truth["file"]) and len(files) == 200
    assert [file.split("/")[0] for file in truth["file"]] == truth["observed"].tolist()
    with Image.open(tmp_path / "digits" / files[0]) as image:
        assert (image.mode, image.size) == ("L", (8, 8)) and image.getextrema()[1] > 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]


def test_the_truth_is_the_digit_that_is_to_be_seen(tmp_path):
    """Images of a true digit resemble each other more than those of its folder do."""
    truth = example_folder(tmp_path / "digits", kind="symmetric", rate=0.4)
    x = np.array([np.asarray(Image.open(tmp_path / "digits" / file), float) for file in truth["file"]])
    true, observed = (np.mean([x[truth[key] == digit].var(0).sum() for digit in LOOK_ALIKES])
                      for key in ("true", "observed"))
    assert true < 0.9 * observed


def test_pairs_are_look_alikes_at_the_rate_asked_for(tmp_path):
    truth = example_folder(tmp_path / "digits", rate=0.3)
    wrong = truth[truth["observed"] != truth["true"]]
    assert {LOOK_ALIKES[digit] for digit in wrong["true"]} == set(wrong["observed"])
    assert all(LOOK_ALIKES[a] == b for a, b in zip(wrong["true"], wrong["observed"]))
    assert len(wrong) / len(truth) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("kind", ["symmetric", "image"])
def test_other_kinds_have_other_wrong_labels(tmp_path, kind):
    truth = example_folder(tmp_path / "digits", kind=kind)
    wrong = truth[truth["observed"] != truth["true"]]
    assert len(set(zip(wrong["true"], wrong["observed"]))) > 20
    assert len(wrong) / len(truth) == pytest.approx(0.2, abs=0.04)


def test_the_seed_decides(tmp_path):
    tables = [example_folder(tmp_path / str(i), n=150, seed=seed) for i, seed in enumerate((0, 0, 1))]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])


def test_a_folder_may_have_no_wrong_label(tmp_path):
    truth = example_folder(tmp_path / "digits", n=150, rate=0.0)
    assert (truth["observed"] == truth["true"]).all()


@pytest.mark.parametrize(("options", "told"), [({"kind": "odd"}, "kind"), ({"rate": 0.5}, "rate"),
                                               ({"rate": -0.1}, "rate"), ({"n": 5}, "n"), ({"seed": -1}, "seed")])
def test_arguments_out_of_range_are_refused_and_nothing_is_written(tmp_path, options, told):
    with pytest.raises(ValueError, match=f"^{told}="):
        example_folder(tmp_path / "digits", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ValueError, match="a new or an empty folder"):
        example_folder(tmp_path)
