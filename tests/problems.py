"""Problems, runs and random inputs that tests of several modules share."""

import numpy as np

from helpers import Record, SignalNoise, descend
from helpers.data.label_noise import add_label_noise
from helpers.streams import random_stream
from helpers.theory.early_stopping import EarlyStoppingBound
from helpers.theory.stage_one import StageOne
from helpers.training.loop import fit
from helpers.training.models import SmallCNN

PROBLEMS = {
    "d barely above n": SignalNoise(40, 45, n_snr2=2, flip_plus=0.2, flip_minus=0.4, noise_std=0.5),
    "orthogonal": SignalNoise(40, 60, n_snr2=2, flip_plus=0.1, flip_minus=0.1, orthogonal=True),
    "paper's scale": SignalNoise(200, 2000, n_snr2=8, flip_plus=0.1, flip_minus=0.1, noise_std=2.0),
    "no flips, huge d": SignalNoise(100, 10**8, n_snr2=1),
}


def problem(d=10**9, c=8.0, tau=0.1, n=200, **options):
    """One flip rate for both classes, c = n SNR^2."""
    return SignalNoise(n, d, n_snr2=c, flip_plus=tau, flip_minus=tau, **options)


def run(law, m, init_std, h, steps, seeds, **options):
    """A run with steps of h in rescaled time."""
    return descend(law, m, init_std, h * law.n * m / (law.noise_std**2 * law.d), steps, seeds, **options)


def train_on_flips(data, rate, seed, recipe, **options):
    """One run of the small CNN on images whose labels are flipped at this rate."""
    return fit(SmallCNN(data.image_shape, seed=seed), add_label_noise(data, rate, seed=seed), recipe, seed, **options)


def ideal_bound(c, tau, p=0.5, n_over_d=1e-12):
    """EarlyStoppingBound in the limit of eq-early-limit."""
    stage = StageOne(s1=1e-9, n_snr2=c, norm_error=0.0, cross_talk=0.0, initial=0.0, lead=(1 - 2 * tau) / 2,
                     clean_share=(1 - tau) / 2, class_share=0.5, active_share=p)
    return EarlyStoppingBound(stage, 10**9, n_over_d, 0.5, 0.0, 0.0)


def random_record(rng, n=60, times=4):
    """A record of random margins, none zero, with clean and noisy samples in both classes."""
    y = np.tile([-1.0, 1.0], n // 2)[None]
    flips = np.arange(n)[None] % 5 < 2
    return Record(np.arange(times), y, np.where(flips, -y, y), rng.normal(0.3, 1, (1, times, n)))


def two_groups(seed, n=60, ties=False):
    """Losses (n,) of two overlapping groups and which are noisy."""
    rng = random_stream(seed, "two groups")
    flipped = rng.random(n) < rng.uniform(0.1, 0.9)
    flipped[:2] = True, False
    losses = rng.gamma(1 + flipped * rng.uniform(0, 3), 1.0)
    return (np.ceil(4 * losses) / 4 if ties else losses), flipped


def random_law(seed, n=400, k=5):
    """Laws and true classes of n images: each class has images that are easy and images that are not."""
    rng = random_stream(seed, "laws of a test")
    true = np.arange(n) % k
    law = rng.dirichlet(np.full(k, 0.5), n)
    ease = rng.random((n, 1))
    return ease * np.eye(k)[true] + (1 - ease) * law, true


def draws(*shape, stream="numbers"):
    """Normal numbers of this shape, always the same."""
    return random_stream(0, f"test attribution, {stream}").standard_normal(shape)
