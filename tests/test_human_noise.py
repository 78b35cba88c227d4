"""Chapter 17: raters, their shared mistakes, what the expected loss learns from them, and controls of the same rate."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch.nn.functional import cross_entropy

from helpers.data import raters
from helpers.data.cifar10n import CIFAR10N_VARIABLE, KINDS
from helpers.data.datasets import load_digit_classes
from helpers.data.images import CIFAR10_VARIABLE, LabelledImages, shrunk
from helpers.data.label_noise import empirical_transition
from helpers.data.subsets import hold_out, keep_samples
from helpers.experiments import human_noise as people
from helpers.reading.times import crest
from helpers.record import concatenate
from helpers.streams import random_stream
from helpers.sweeps.tables import load_table
from helpers.training.loop import Recipe, fit
from helpers.training.models import SmallCNN


def random_law(seed, n=400, k=5):
    """Laws and true classes of n images: each class has images that are easy and images that are not."""
    rng = random_stream(seed, "laws of a test")
    true = np.arange(n) % k
    law = rng.dirichlet(np.full(k, 0.5), n)
    ease = rng.random((n, 1))
    return ease * np.eye(k)[true] + (1 - ease) * law, true


@pytest.fixture(scope="module")
def rated():
    """Digits without the school, and the raters' law on them."""
    digits = load_digit_classes(n_train=1300)
    school = np.arange(digits.n) < 200
    data = keep_samples(digits, ~school)
    return data, raters.rater_law(keep_samples(digits, school), data, 0.177)


def test_rater_law_has_the_rate_asked_for_and_looks_at_the_image(rated):
    data, law = rated
    q = raters.mistakes(law, data.y)
    assert np.allclose(law.sum(1), 1) and law.min() >= 0 and q.mean() == pytest.approx(0.177, abs=1e-9)
    assert (q > 0.5).mean() > 0.02 and (q < 0.05).mean() > 0.2  # hard images and easy ones: 10% and 37%


@pytest.mark.parametrize("rate", [0.01, 0.95])
def test_rater_law_refuses_a_rate_it_cannot_reach(rated, rate):
    data, _ = rated
    with pytest.raises(ValueError, match=r"rate=.*must be in"):
        raters.rater_law(keep_samples(data, np.arange(data.n) < 200), data, rate)


@given(st.integers(0, 50), st.floats(0, 1))
def test_the_dial_keeps_the_transition_matrix_and_scales_the_deviations(seed, dial):
    law, true = random_law(seed, n=60)
    mixed = raters.mixed_law(law, true, dial)
    matrix = raters.class_means(law, true)
    assert np.allclose(raters.class_means(mixed, true), matrix) and np.allclose(mixed.sum(1), 1)
    assert np.allclose(mixed - matrix[true], dial * (law - matrix[true]))


def test_ask_draws_from_the_law_and_raters_are_independent_given_the_image():
    """Shares of 20,000 draws of one law: a standard error of .0035 at most, so .015 is over four of them."""
    law = np.tile([0.5, 0.3, 0.2, 0.0], (20_000, 1))
    first, second = raters.ask(law, 2, 1)
    for labels in (first, second):
        assert np.allclose(np.bincount(labels, minlength=4) / 20_000, law[0], atol=0.015)
    assert np.mean((first == 0) & (second == 0)) == pytest.approx(0.25, abs=0.015)
    assert np.array_equal(raters.ask(law, 1, 1)[0], first) and not np.array_equal(raters.ask(law, 1, 2)[0], first)


def test_aggregate_is_the_majority_and_breaks_ties_evenly():
    ratings = np.array([[0, 1, 2], [0, 1, 1], [0, 2, 1]])
    assert raters.aggregate(ratings, 0).tolist() == [0, 1, 1]
    ties = np.tile([[0], [1], [2]], (1, 3000))
    assert np.allclose(np.bincount(raters.aggregate(ties, 0)) / 3000, 1 / 3, atol=0.04)  # 4.6 standard errors


def test_worst_is_the_last_wrong_answer():
    ratings, true = np.array([[0, 1, 2, 1], [0, 0, 1, 0], [0, 0, 0, 2]]), np.zeros(4, int)
    assert raters.worst(ratings, true).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("power", [1, 2])
def test_prop_shared_mistakes(power):
    """prop-shared-mistakes 1 to 3, exactly: sums over all answers of three raters against variances within classes."""
    law, true = random_law(3, n=50, k=4)
    law = raters.mixed_law(law, true, 1 / power)
    q, matrix = raters.mistakes(law, true), raters.class_means(law, true)
    for y in range(4):
        mine, wrong = law[true == y], np.arange(4) != y
        pairs = np.einsum("na,nb->ab", mine, mine) / len(mine)
        triples = np.einsum("na,nb,nc->abc", mine, mine, mine) / len(mine)
        mean = q[true == y].mean()
        assert pairs[np.ix_(wrong, wrong)].sum() == pytest.approx(mean**2 + q[true == y].var())
        same = (matrix[y] ** 2 + mine.var(0))[wrong].sum()
        assert np.diag(pairs)[wrong].sum() == pytest.approx(same)
        assert triples[np.ix_(wrong, wrong, wrong)].sum() > mean**3


def test_prop_shared_mistakes_joint_mistakes_count_what_they_say():
    """prop-shared-mistakes: the counts of a large draw agree with the law's moments."""
    law, true = random_law(5, n=40_000)
    ratings, q = raters.ask(law, 3, 0), raters.mistakes(law, true)
    found = raters.joint_mistakes(true, ratings)
    same = (law**2).sum(1) - (1 - q) ** 2
    wanted = {"two wrong": np.mean(q**2), "same wrong label": same.mean(), "all wrong": np.mean(q**3),
              "all agree": (law**3).sum(1).mean()}
    for name, share in wanted.items():  # a share of 40,000 images has a standard error of .0025 at most
        assert found[name] == pytest.approx(share, abs=0.01), name


def test_prop_shared_mistakes_permutation_tells_the_image_from_the_class():
    """prop-shared-mistakes 4: raters who know the class alone lie within the permutations, others lie above all."""
    law, true = random_law(7, n=3000)
    looking, blind = (raters.ask(raters.mixed_law(law, true, dial), 3, 0) for dial in (1.0, 0.0))
    for ratings, above in ((looking, True), (blind, False)):
        found = raters.joint_mistakes(true, ratings)
        shuffled = raters.shuffled_mistakes(true, ratings, 60, 1)
        for name, values in shuffled.items():
            assert (found[name] > values.max()) == above, name


@given(st.integers(0, 30), st.booleans())
def test_permuted_keeps_counts_and_places(seed, wrong_only):
    rng = random_stream(seed, "labels of a test")
    true, observed = np.arange(90) % 3, rng.integers(0, 3, 90)
    moved = raters.permuted(true, observed, rng, wrong_only=wrong_only)
    for y in range(3):
        assert np.array_equal(np.sort(moved[true == y]), np.sort(observed[true == y]))
    assert not wrong_only or np.array_equal(moved == true, observed == true)


def test_prop_image_law():
    """prop-image-law: autograd's expected gradient in the logits is (s - p)/n, and the expected loss is least at p."""
    law = random_law(11, n=30, k=4)[0]
    n, k = law.shape
    logits = torch.from_numpy(random_stream(0, "logits of a test").normal(size=(n, k))).requires_grad_()
    expected = sum((torch.from_numpy(law[:, c]) * cross_entropy(logits, torch.full((n,), c), reduction="none")).mean()
                   for c in range(k))
    (gradient,) = torch.autograd.grad(expected, logits)
    assert np.allclose(-gradient.numpy(), (law - logits.softmax(1).detach().numpy()) / n)
    s, p = logits.softmax(1).detach().numpy(), np.where(law > 0, law, 1)
    entropy, divergence = -(law * np.log(p)).sum(1), (law * np.log(p / s)).sum(1)
    assert expected.item() == pytest.approx((entropy + divergence).mean()) and divergence.min() > 0


def test_prop_image_law_readable_images():
    """prop-image-law 1 and 2: q < 1/2 suffices, with one wrong class it is needed; a dominant diagonal reads all."""
    law, true = random_law(13)
    q, readable = raters.mistakes(law, true), raters.readable(law, true)
    assert readable[q < 0.5].all() and readable[q > 0.5].any() and not readable.all()
    chances = np.array([0.2, 0.49, 0.5, 0.51])
    single = np.stack([1 - chances, chances, 0 * chances], 1)
    assert raters.readable(single, np.zeros(4, int)).tolist() == [True, True, False, False]
    matrix = np.array([[0.4, 0.3, 0.3], [0.35, 0.36, 0.29], [0.1, 0.2, 0.7]])
    labels = np.arange(30) % 3
    assert raters.readable(matrix[labels], labels).all()


def test_prop_reading_share():
    """prop-reading-share: the reader of the law, scored on 400 draws, reads the share R; 1 for symmetric noise.

    400 draws of 400 images have some 40,000 noisy samples: a standard error near .0025.
    """
    law, true = random_law(17)
    share, reader = raters.reading_share(law, true), law.argmax(1)
    noisy = raters.ask(law, 400, 0) != true
    assert 0.2 < share < 0.8
    assert noisy[:, reader == true].sum() / noisy.sum() == pytest.approx(share, abs=0.012)
    k = 5
    symmetric = np.full((k, k), 0.79 / (k - 1)) + (0.21 - 0.79 / (k - 1)) * np.eye(k)
    assert raters.reading_share(symmetric[true], true) == 1.0
    assert np.isnan(raters.reading_share(np.eye(k)[true], true))


@given(st.integers(0, 30))
def test_prop_worst_label(seed):
    """prop-worst-label: the law by enumerating all answers of three raters; the rate's bound; the border .206."""
    law, true = random_law(seed, n=6, k=3)
    q = raters.mistakes(law, true)
    enumerated = np.zeros_like(law)
    for answer in np.ndindex(3, 3, 3):
        chance = np.prod([law[:, a] for a in answer], axis=0)
        label = raters.worst(np.array(answer)[:, None].repeat(6, 1), true)
        enumerated[np.arange(6), label] += chance
    found = raters.worst_law(law, true)
    assert np.allclose(found, enumerated) and np.allclose(found.sum(1), 1)
    assert raters.mistakes(found, true).mean() <= 1 - (1 - q.mean()) ** 3 + 1e-12
    assert raters.readable(found, true)[q < 1 - 2 ** (-1 / 3)].all()


def test_prop_worst_label_border_with_one_wrong_class():
    """prop-worst-label 2: readable exactly below 1 - 2^(-1/3); and an image nobody gets wrong stays right."""
    border = 1 - 2 ** (-1 / 3)
    q = np.array([0.0, border - 1e-6, border + 1e-6, 0.4])
    law = raters.worst_law(np.stack([1 - q, q], 1), np.zeros(4, int))
    assert raters.readable(law, np.zeros(4, int)).tolist() == [True, True, False, False]
    assert law[0].tolist() == [1.0, 0.0]


def test_loosened_keeps_what_it_says(rated):
    data, law = rated
    noisy = raters.with_ratings(data, raters.ask(law, 1, 0)[0])
    counts = {keep: empirical_transition(data.y, raters.loosened(noisy, keep, 1).y_obs, 10)[1] for keep in raters.KEEPS}
    made = {keep: raters.loosened(noisy, keep, 1) for keep in raters.KEEPS}
    assert all(m.flipped.sum() == noisy.flipped.sum() for m in made.values())
    assert np.array_equal(made["image"].y_obs, noisy.y_obs)
    assert np.array_equal(made["places"].flipped, noisy.flipped)
    assert not np.array_equal(made["places"].y_obs, noisy.y_obs)
    for keep in ("places", "class"):
        assert np.array_equal(counts[keep], counts["image"])
    assert not np.array_equal(made["class"].flipped, noisy.flipped)
    symmetric = counts["rate"] / counts["rate"].sum(1, keepdims=True)
    assert raters.competitors(symmetric).mean() > 7  # of 9; some 20 mistakes a class
    with pytest.raises(ValueError, match="keep='all'"):
        raters.loosened(noisy, "all", 0)


def test_hold_out_moves_the_last_images_with_their_observed_labels(rated):
    data, law = rated
    noisy = raters.with_ratings(data, raters.ask(law, 1, 0)[0])
    held = hold_out(noisy, 100)
    assert held.n == noisy.n - 100 and np.array_equal(held.x_test[-100:], noisy.x[-100:])
    assert np.array_equal(held.y_test_obs[-100:], noisy.y_obs[-100:])
    assert np.array_equal(held.y_test[-100:], data.y[-100:])
    assert np.array_equal(held.y_test_obs[:-100], data.y_test)
    with pytest.raises(ValueError, match="n_val"):
        hold_out(noisy, noisy.n)


def test_mistake_bounds_hold_the_truth_and_can_be_empty():
    law, true = random_law(19, n=30_000)
    q, ratings = raters.mistakes(law, true), raters.ask(law, 3, 0)
    half = lambda values: values >= 0.5  # noqa: E731
    low, high = raters.mistake_bounds(true, ratings, lambda values: values, half)
    assert low < q[half(q)].sum() / q.sum() < high and high - low < 0.8
    alone = raters.mistake_bounds(true, ratings, lambda values: values, lambda values: values >= 0)
    assert alone == pytest.approx((1, 1))
    never_together = np.where(np.arange(3)[:, None] == np.arange(30) % 3, 1, 0)  # each image wrong for one rater
    with pytest.raises(ValueError, match="moments"):
        raters.mistake_bounds(np.zeros(30, int), never_together, np.ones_like, half)


def test_transition_interval_covers_and_is_exact_at_the_ends():
    """Of 1000 draws of a row with T = .1, the 95% interval of Clopper and Pearson misses at most 5%, and some."""
    rng = random_stream(0, "rows of a test")
    counts = np.stack([[100 - wrong, wrong] for wrong in rng.binomial(100, 0.1, 1000)])
    interval = raters.transition_interval(counts)
    covered = (interval[:, 1, 0] <= 0.1) & (interval[:, 1, 1] >= 0.1)
    assert 0.94 < covered.mean() < 1
    ends = raters.transition_interval(np.array([[10, 0], [0, 10]]))
    assert ends[0, 1, 0] == 0 and ends[0, 0, 1] == 1 and ends[0, 1, 1] == pytest.approx(1 - 0.025**0.1)


def test_competitors_of_known_matrices():
    k = 10
    symmetric = 0.8 * np.eye(k) + 0.2 / 9 * (1 - np.eye(k))
    pair = 0.8 * np.eye(k) + 0.2 * np.roll(np.eye(k), 1, 1)
    assert raters.competitors(symmetric) == pytest.approx(np.full(k, 9))
    assert raters.competitors(pair) == pytest.approx(np.ones(k))
    assert np.isnan(raters.competitors(np.eye(3))).all()


def run(rated, keep, seed, dial=2 / 3):
    """A run of the chapter."""
    data, law = rated
    ratings = raters.ask(raters.mixed_law(law, data.y, dial), 1, seed)
    noisy = raters.loosened(raters.with_ratings(data, ratings[0]), keep, seed)
    return people.noise_run(noisy, seed)


def weaker_first_stage(image, by_class):
    """The facts of obs-human-noise about two records, as means over their seeds."""
    one, other = ({k: v.mean() for k, v in people.summary(r).items()} for r in (image, by_class))
    return np.array([one["read truly"] < other["read truly"] - 0.08, one["copied"] > other["copied"] + 0.04,
                     one["AUC"] < other["AUC"] - 0.005, one["best"] < other["best"] - 0.01])


@pytest.fixture(scope="module")
def runs(rated):
    return {keep: concatenate([run(rated, keep, seed) for seed in range(4)]) for keep in ("image", "class")}


def test_obs_human_noise(runs):
    """Of six seeds: read truly .73 ± .05 against .90 ± .02, copied .16 ± .05 against .03 ± .03, AUC .973 ± .009 against
    .992 ± .003, best .903 ± .007 against .935 ± .009; last .84 and .85, ± .03 each. Bounds at half of the gaps."""
    assert weaker_first_stage(runs["image"], runs["class"]).all()
    last = [1 - record.fresh_error[:, -1].mean() for record in runs.values()]
    assert abs(last[0] - last[1]) < 0.05


def test_obs_human_noise_needs_the_image(runs, rated):
    """The mutation: raters who look at the class alone leave nothing of the difference."""
    blind = concatenate([run(rated, "image", seed, dial=0.0) for seed in range(3)])
    assert not weaker_first_stage(blind, runs["class"])[[0, 1, 3]].any()


def test_obs_human_cifar10n():
    """Recorded on CIFAR-10N: 3 label sets and 3 seeds, paired."""
    rows = load_table("human_noise").table
    pairs = rows.pivot(index=["kind", "seed"], columns="keep")
    assert len(pairs) == 9
    for name, sign in (("read truly", -1), ("copied", 1), ("AUC", -1), ("memorised", 1), ("best", 1)):
        assert (sign * (pairs[name]["image"] - pairs[name]["rate"]) > 0).all(), name
    assert (pairs["best"]["image"] - pairs["best"]["rate"]).max() < 0.02
    assert (rows["noisy validation"] > rows["last"]).all()
    cost = rows["best"] - rows["noisy validation"]
    assert cost.mean() < 0.0075 and cost.max() < 0.029 and (rows["best"] - rows["last"]).min() > 0.04


def test_summary_reads_a_record(runs):
    record = runs["class"]
    values, top = people.summary(record), crest(record)
    assert all(v.shape == (4,) for v in values.values())
    wrong = record.flipped[0]
    assert values["read truly"][0] == pytest.approx(record.fits_true[0, :, wrong].mean(0).max())
    loss = record.losses[0, top[0]]
    largest = np.argsort(-loss)[: wrong.sum()]
    assert values["caught"][0] == pytest.approx(wrong[largest].mean(), abs=1 / wrong.sum())
    assert values["best"][0] >= values["last"][0]
    assert record.test_sizes["validation_observed"] == 100


@pytest.fixture
def fake_files(tmp_path, monkeypatch):
    """CIFAR-10 and its human labels in small: 200 images of random pixels with a bright stripe at the true class."""
    rng, n = random_stream(0, "fake CIFAR-10"), 200
    arrays = {}
    for part, size in (("train", n), ("test", 40)):
        y = np.arange(size) % 10
        x = rng.integers(0, 120, (size, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(x, y):
            image[3 * label: 3 * label + 3] = 250
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(tmp_path / "cifar.npz", **arrays)
    true = arrays["y_train"]
    noisy = np.where(rng.random((5, n)) < 0.3, (true + 1) % 10, true)
    np.savez(tmp_path / "labels.npz", clean_label=true, **dict(zip(KINDS.values(), noisy)))
    monkeypatch.setenv(CIFAR10_VARIABLE, str(tmp_path / "cifar.npz"))
    monkeypatch.setenv(CIFAR10N_VARIABLE, str(tmp_path / "labels.npz"))


def test_cifar10n_cell_at_tiny_scale(fake_files):
    settings = {"n_train": 120, "width": 4, "epochs": 3, "n_val": 40}
    rows = {keep: people.cifar10n_cell("random1", keep, 0, **settings) for keep in raters.KEEPS}
    for row in rows.values():
        assert all(type(value) is float for value in row.values())
        assert {"read truly", "best", "last", "noisy validation"} <= set(row) and 0.1 < row["flip rate"] < 0.5
    assert rows["image"] == people.cifar10n_cell("random1", "image", 0, **settings)
    assert rows["image"] != people.cifar10n_cell("worst", "image", 0, **settings)
    with pytest.raises(ValueError, match="side"):
        people.cifar10n_cell("random1", "image", 0, side=20, **settings)


def test_cifar10n_cell_says_what_is_missing(monkeypatch):
    monkeypatch.delenv(CIFAR10_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=CIFAR10_VARIABLE):
        people.cifar10n_cell("worst", "image", 0)


def test_shrunk_averages_squares():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) / 16
    data = LabelledImages("t", ("a", "b"), x, [1.0], x, [1.0])
    assert np.allclose(shrunk(data, 2).x[0, 0], np.array([[2.5, 4.5], [10.5, 12.5]]) / 16)
    with pytest.raises(ValueError, match="side=3: must be a divisor of 4"):
        shrunk(data, 3)


def test_noise_run_is_fit_on_the_held_out_data(rated):
    """Nothing but `fit` on `hold_out`: the same margins, at the same epochs."""
    data, law = rated
    noisy, recipe = raters.with_ratings(data, raters.ask(law, 1, 0)[0]), Recipe(epochs=2, lr=0.1)
    record, held = people.noise_run(noisy, 3, width=4, recipe=recipe, n_val=100), hold_out(noisy, 100)
    again = fit(SmallCNN(held.image_shape, width=4, seed=3, n_outputs=10), held, recipe, 3, record_at=record.times,
                n_val=100)
    assert np.allclose(record.margins, again.margins, atol=1e-3)
