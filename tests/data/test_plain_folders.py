"""Folders of class folders without a test set: what is drawn from them, names of images, colours, refusals."""

import numpy as np
import pytest
from PIL import Image

from helpers.data.image_folders import load_folder
from helpers.data.subsets import hold_out

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.new("RGB", (4, 4), (9, 9, 9)) if image is None else image).save(path, **options)


def plain_folder(root, counts=(10, 6, 1)):
    """root/<colour>/<i>.png, as many of each colour as `counts` says."""
    for (name, colour), count in zip(COLOURS.items(), counts):
        for i in range(count):
            save(root / name / f"{i}.png", Image.new("RGB", (6, 4), colour))
    return root


def test_a_plain_folder_has_observed_labels_names_and_no_test_set(tmp_path):
    data = load_folder(plain_folder(tmp_path / "colours"), size=4)
    assert data.name == "colours" and data.classes == tuple(COLOURS) and data.n == 17
    assert data.x_test is None and data.n_test == 0
    assert data.noise == {"kind": "unknown", "source": "names of the folders"} and not data.truth_known
    assert data.files[:2] == ("blue/0.png", "blue/1.png") and data.files[-1] == "red/0.png"
    assert all(data.classes[label] == file.split("/")[0] for label, file in zip(data.y_obs, data.files))


def test_a_plain_folder_may_be_taken_for_true(tmp_path):
    data = load_folder(plain_folder(tmp_path), labels_are="true", test_share=0.5)
    assert data.noise == {} and data.truth_known and data.n_test_known == data.n_test == 8


def test_the_test_share_is_drawn_within_each_class_and_its_labels_are_observed(tmp_path):
    plain_folder(tmp_path)
    data, again, other = (load_folder(tmp_path, test_share=0.3, seed=seed) for seed in (0, 0, 1))
    assert np.bincount(data.y_test_obs, minlength=3).tolist() == [3, 2, 0]  # the only red image stays for training
    assert data.n == 12 and data.n_test_known == 0
    assert np.array_equal(data.x_test.mean((2, 3)).argmax(1), 2 - data.y_test)  # blue is the last channel
    assert data.files == again.files != other.files and len(data.files) == data.n


def test_some_images_of_a_plain_folder_are_read_after_the_test_set_is_drawn(tmp_path):
    plain_folder(tmp_path)
    whole, part = load_folder(tmp_path, test_share=0.5), load_folder(tmp_path, test_share=0.5, n_train=4, n_test=3)
    assert part.n == 4 and part.n_test == 3 and set(part.files) < set(whole.files)


@pytest.mark.parametrize(("options", "message"), [
    ({"test_share": 1.0}, "test_share=1.0"), ({"test_share": -0.1}, "test_share=-0.1"),
    ({"test_share": 0.01}, r"test_share=0.01.*round"), ({"test_share": True}, "test_share=True"),
    ({"n_test": 2}, r"n_test=2.*test_share=0"), ({"labels_are": "perhaps"}, "labels_are='perhaps'"),
    ({"noisy_labels": "list.txt"}, "labels_are='observed'.*'true' where a list")])
def test_options_that_do_not_fit_a_plain_folder_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_folder(plain_folder(tmp_path), **options)


def test_a_list_gives_observed_labels_of_a_plain_folder_of_known_truth(tmp_path):
    plain_folder(tmp_path)
    (tmp_path / "list.txt").write_text("blue/3.png red\n")
    data = load_folder(tmp_path, noisy_labels=tmp_path / "list.txt", labels_are="true", test_share=0.5)
    changed = (data.y != data.y_obs).sum() + (data.y_test != data.y_test_obs).sum()
    assert changed == 1 and data.noise["kind"] == "file" and data.n_test_known == data.n_test


def test_train_alone_is_read_as_a_plain_folder_and_named_below_the_path(tmp_path):
    plain_folder(tmp_path / "train")
    data = load_folder(tmp_path)
    assert data.classes == tuple(COLOURS) and data.files[0] == "train/blue/0.png" and data.n_test == 0


def test_images_for_training_are_named_below_the_path_with_a_test_folder_too(tmp_path):
    plain_folder(tmp_path / "train", (2, 2, 2)), plain_folder(tmp_path / "test", (1, 1, 1))
    data = load_folder(tmp_path)
    assert data.files[:3] == ("train/blue/0.png", "train/blue/1.png", "train/green/0.png") and data.n_test_known == 3
    with pytest.raises(ValueError, match=r"test_share=0\.2: must be 0 where"):
        load_folder(tmp_path, test_share=0.2)


def test_a_class_in_one_part_only_is_named_with_its_part(tmp_path):
    plain_folder(tmp_path / "train", (1, 1, 1)), plain_folder(tmp_path / "test", (1, 1, 0))
    with pytest.raises(ValueError, match=r"\['red'\] in train only$"):
        load_folder(tmp_path)
    save(tmp_path / "test" / "pink" / "0.png")
    with pytest.raises(ValueError, match=r"\['red'\] in train only, \['pink'\] in test only"):
        load_folder(tmp_path)


@pytest.mark.parametrize("parts", [("train", "val"), ("Train", "Test"), ("test",), ("training", "validation")])
def test_parts_of_other_names_are_not_taken_for_classes(tmp_path, parts):
    for part in parts:
        plain_folder(tmp_path / part, (1, 1, 1))
    with pytest.raises(ValueError, match="call the folder for testing test, or give the path of one part"):
        load_folder(tmp_path)
    assert load_folder(tmp_path / parts[-1]).n == 3


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train"):
        save(tmp_path / name / "0.png")
    assert load_folder(tmp_path).classes == ("bus", "train")


def test_an_empty_class_folder_is_named_and_what_to_do(tmp_path):
    (plain_folder(tmp_path) / "pink").mkdir()
    with pytest.raises(ValueError, match=r"pink'.*a folder with images.*take it away"):
        load_folder(tmp_path)


@pytest.mark.parametrize("found", [(), ("red",)])
def test_a_folder_of_fewer_than_two_classes_is_refused(tmp_path, found):
    for name in found:
        save(tmp_path / name / "0.png")
    with pytest.raises(ValueError, match=rf"cat.7\.jpg; it holds {r'.*red' if found else 'no folder'}"):
        load_folder(tmp_path)


def test_class_folders_with_numbers_as_names_stand_in_the_order_of_the_alphabet(tmp_path):
    for name in ("2", "10", "1"):
        save(tmp_path / name / "0.png")
    data = load_folder(tmp_path)
    assert data.classes == ("1", "10", "2") and data.files == ("1/0.png", "10/0.png", "2/0.png")


def test_files_that_differ_in_case_or_unicode_form_are_two_and_classes_in_unicode_form_are_refused(tmp_path):
    names = ("A.png", "a.png", "caf\u00e9.png", "cafe\u0301.png")
    for name in names:
        save(tmp_path / "red" / name)
    save(tmp_path / "blue" / "0.png")
    there = len(list((tmp_path / "red").iterdir()))  # a file system may take two of them for one
    data = load_folder(tmp_path)
    assert data.n == there + 1 and all((tmp_path / file).is_file() for file in data.files)
    (tmp_path / "list.txt").write_text("red/caf\u00e9.png blue\n", encoding="utf-8")
    if there == 4:
        with pytest.raises(ValueError, match="looks the same"):
            load_folder(tmp_path, noisy_labels=tmp_path / "list.txt", labels_are="true")
    for name in names[2:]:
        save(tmp_path / f"class {name}" / "0.png")
    if len([folder for folder in tmp_path.iterdir() if folder.name.startswith("class")]) == 2:
        with pytest.raises(ValueError, match="look different"):
            load_folder(tmp_path)


def test_a_plain_folder_is_held_out_from_by_a_draw_that_reaches_all_classes(tmp_path):
    data = hold_out(load_folder(plain_folder(tmp_path, (6, 6, 6))), 9, seed=0)
    assert len(set(data.y_test_obs)) == len(set(data.y_obs)) == 3 and len(data.files) == 9


def transparent(mode):
    """Left half opaque red or black, right half transparent over a colour that must not be seen."""
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    return image if mode == "RGBA" else image.convert(mode)


def palette_with_transparency():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.paste(0, (0, 0, 4, 8))
    return image


@pytest.mark.parametrize(("image", "options", "left"), [
    (transparent("RGBA"), {}, (1, 0, 0)), (transparent("LA"), {}, (76 / 255,) * 3),
    (palette_with_transparency(), {"transparency": 1}, (1, 0, 0)),
    (palette_with_transparency(), {"transparency": b"\xff\x00"}, (1, 0, 0))])
def test_what_is_transparent_lies_on_white(tmp_path, image, options, left):
    save(tmp_path / "a" / "0.png", image, **options)
    save(tmp_path / "b" / "0.png")
    x = load_folder(tmp_path, size=8).x[0]
    np.testing.assert_allclose(x[:, :, :3], np.broadcast_to(np.array(left)[:, None, None], (3, 8, 3)), atol=0.005)
    assert x[:, :, 5:].min() == 1 and load_folder(tmp_path, size=8, mode="L").x[0, :, :, 5:].min() == 1


def test_half_transparent_is_half_white(tmp_path):
    save(tmp_path / "a" / "0.png", Image.new("RGBA", (8, 8), (0, 0, 0, 128)))
    save(tmp_path / "b" / "0.png")
    np.testing.assert_allclose(load_folder(tmp_path, size=8).x[0], 127 / 255, atol=0.005)


@pytest.mark.parametrize(("image", "suffix", "colour"), [
    (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpg", (1, 0, 0)),
    (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "tif", (1, 0, 0)),
    (Image.new("RGB", (8, 8), (0, 255, 0)).convert("P"), "png", (0, 1, 0)),
    (Image.new("RGB", (8, 8), (0, 255, 0)).convert("P"), "gif", (0, 1, 0)),
    (Image.new("L", (8, 8), 51), "png", (0.2, 0.2, 0.2)), (Image.new("1", (8, 8), 1), "png", (1, 1, 1))])
def test_images_of_other_modes_have_their_colour(tmp_path, image, suffix, colour):
    save(tmp_path / "a" / f"0.{suffix}", image)
    save(tmp_path / "b" / "0.png")
    x = load_folder(tmp_path, size=4).x[0]
    np.testing.assert_allclose(x, np.broadcast_to(np.array(colour)[:, None, None], (3, 4, 4)), atol=0.02)


def test_a_truncated_image_of_a_plain_folder_is_named(tmp_path):
    file = plain_folder(tmp_path) / "blue" / "2.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"blue.2\.png.*image that can be read"):
        load_folder(tmp_path)
