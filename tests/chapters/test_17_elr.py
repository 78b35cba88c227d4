"""Chapter 17 in the signal-noise world: the term's gradient, the limit law with it, thresholds, samples given up."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from idealised import CLOSE, base_slopes, euler, ideal_scene, problem, random_state, sorted_start, two_class_labels
from scipy.integrate import solve_ivp
from scipy.special import expit

from helpers import limit_law
from helpers.engine import scenes
from helpers.engine.elr_term import elr_term_slope
from helpers.engine.variants import descend_variant
from helpers.streams import random_stream
from helpers.theory import elr_theory as elr
from helpers.theory.elr_theory import elr_euler, elr_law
from helpers.training.losses import ELRLoss, elr_loss_gradient

# The gradient

@pytest.mark.statement("lem-elr-gradient")
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_lem_elr_gradient_against_autograd(classes):
    """lem-elr-gradient: p weighted by 1 - t, minus p, and the form of the paper's Lemma 2. Tolerance: rounding."""
    logits, targets = random_state(classes)
    p = logits.softmax(0)
    (slope,) = torch.autograd.grad(torch.log(1 - (p * targets).sum(0)).sum(), logits)
    p = p.detach()
    weighted = p * (1 - targets)
    for found in (elr_term_slope(p, 1 - targets), weighted / weighted.sum(0) - p, elr_loss_gradient(p.T, targets.T).T):
        np.testing.assert_allclose(found, slope, **CLOSE)
    believed = targets.argmax(0)
    assert (slope.gather(0, believed[None]) < 0).all() and slope.abs().max() > 0.01


@pytest.mark.statement("prop-elr-pull")
def test_prop_elr_pull_and_its_sign():
    """prop-elr-pull: minus the derivative in the margin, and the strength at which it vanishes."""
    rng = random_stream(1, "pulls")
    z = torch.from_numpy(3 * rng.standard_normal(200)).requires_grad_()
    own, other = (torch.from_numpy(part) for part in rng.dirichlet(np.ones(3), 200).T[:2])
    p = z.sigmoid()
    loss = torch.nn.functional.softplus(-z) + 3.0 * torch.log(1 - p * own - (1 - p) * other)
    (slope,) = torch.autograd.grad(loss.sum(), z)
    delta = torch.log((1 - other) / (1 - own)).numpy()
    np.testing.assert_allclose(elr.elr_pull(z.detach().numpy(), delta, 3.0), -slope, **CLOSE)
    z, delta = z.detach().numpy(), -np.abs(delta)
    needed = (np.exp(-delta) + np.exp(-z)) / np.expm1(-delta)
    np.testing.assert_allclose(elr.elr_pull(z, delta, needed), 0, atol=1e-9)
    assert (elr.elr_pull(z, delta, 1.01 * needed) < 0).all() and (elr.elr_pull(z, delta, 0.99 * needed) > 0).all()


@pytest.mark.statement("prop-elr-settled")
@settings(max_examples=30)
@given(st.floats(-8, 8), st.floats(0, 10))
def test_prop_elr_settled_pull(z, strength):
    """prop-elr-settled: the closed form is the pull at t = p; z* is its zero for lambda > 2."""
    assert elr.settled_elr_pull(z, strength) == pytest.approx(elr.elr_pull(z, z, strength), abs=1e-12)
    if strength > 2.01:
        assert elr.settled_elr_pull(elr.elr_dividing_margin(strength), strength) == pytest.approx(0, abs=1e-9)
    elif strength <= 2:
        assert elr.elr_dividing_margin(strength) == -np.inf and elr.settled_elr_pull(z, strength) > 0


@pytest.mark.statement("prop-elr-settled")
@pytest.mark.parametrize("memory", [0.05, 1.0, 20.0])
def test_prop_elr_settled_fixed_point_is_a_saddle_for_any_memory(memory):
    """prop-elr-settled, claim 3: eigenvalues of a numerical Jacobian, and with the target held the point attracts."""
    strength, z = 3.0, elr.elr_dividing_margin(3.0)

    def flow(state):
        margin, target = state
        t = expit(target)
        return np.array([elr.elr_pull(margin, target, strength), (expit(margin) - t) / (memory * t * (1 - t))])

    at = np.array([z, z])
    jacobian = np.array([(flow(at + e) - flow(at - e)) / 2e-6 for e in 1e-6 * np.eye(2)]).T
    low, high = sorted(np.linalg.eigvals(jacobian).real)
    s = expit(z) * expit(-z)
    assert low < 0 < high and jacobian[0, 0] < 0
    assert np.linalg.det(jacobian) == pytest.approx(-(strength - 1) * s / memory, rel=1e-4)


@pytest.mark.statement("prop-elr-clamp")
@pytest.mark.parametrize(("start", "end"), [(-1.2, "held"), (-1.0, "free")])
def test_prop_elr_clamp_holds_the_margin(start, end):
    """prop-elr-clamp: scalar descent with t = p from both sides of z* = -log 3. One step of 0.01 moves at most 0.01."""
    strength, clamp, h, z = 3.0, 1e-4, 0.01, start
    edge = np.log((1 - clamp) / clamp)
    for _ in range(20_000):
        inside = abs(z) <= edge
        z += h * (elr.settled_elr_pull(z, strength) if inside else expit(-z))
    if end == "held":
        assert abs(z + edge) <= h * strength / 2
    else:
        assert edge < z < edge + np.log1p(20_000 * h * clamp) + h * strength


def farthest_from_the_edge(strength, clamp, h):
    """Largest distance from -z_eps over 300 steps of size h, from starts within h strength / 2 of it."""
    edge = np.log((1 - clamp) / clamp)
    z, farthest = -edge + h * strength / 2 * np.linspace(-1, 1, 101), 0.0
    for _ in range(300):
        z = z + h * np.where(np.abs(z) <= edge, elr.settled_elr_pull(z, strength), expit(-z))
        farthest = max(farthest, np.abs(z + edge).max())
    return farthest


@pytest.mark.statement("prop-elr-clamp")
@pytest.mark.parametrize(("strength", "clamp"), [(2.2, 0.05), (3.0, 1e-4), (7.0, 0.01)])
def test_prop_elr_clamp_needs_a_small_step(strength, clamp):
    """prop-elr-clamp: h lambda / 2 < z_eps - |z*| keeps margins near; with three times that step some get away."""
    room = np.log((1 - clamp) / clamp) + elr.elr_dividing_margin(strength)
    h = 0.95 * 2 * room / strength
    assert farthest_from_the_edge(strength, clamp, h) <= 0.95 * room + 1e-9
    assert farthest_from_the_edge(strength, clamp, 3 * h) > 3 * room


@pytest.mark.statement("prop-elr-clamp")
def test_prop_elr_clamp_is_that_of_the_training_loss():
    """prop-elr-clamp: outside of the clamp the loss used on images has the gradient of cross-entropy alone."""
    logits = torch.tensor([[0.0, 9.5], [0.0, -9.5], [0.0, 3.0]], dtype=torch.float64, requires_grad=True)
    loss = ELRLoss(strength=3.0, momentum=0.7).start(3, 2).double()
    (slope,) = torch.autograd.grad(3 * loss(logits, torch.tensor([0, 0, 0]), torch.arange(3)), logits)
    plain = logits.softmax(1) - torch.tensor([1.0, 0.0])
    gap = (slope - plain).abs().amax(1)
    assert gap[:2].max() < 1e-7 < 0.01 < gap[2]


@pytest.mark.statement("prop-elr-divergence")
def test_prop_elr_divergence_settles_on_cross_entropy():
    """prop-elr-divergence: with t = p the law with KL is that of cross-entropy, step by step; with a memory it lags."""
    plain = elr_euler(8.0, 0.1, 0.0, 0.0, 0.05, 300)
    settled = elr_euler(8.0, 0.1, 5.0, 0.0, 0.05, 300, term="kl")
    np.testing.assert_allclose(settled.noisy_margin, plain.noisy_margin, **CLOSE)
    lagging = elr_euler(8.0, 0.1, 5.0, 0.95, 0.05, 2000, term="kl").noisy_margin
    assert lagging[-1] > 1 and lagging.min() > plain.noisy_margin.min()


# The law

RUNS = [(3.0, 0.7, "elr", 0.0), (1.0, 0.9, "elr", 0.0), (0.2, 0.0, "elr", 0.0), (7.0, 0.5, "elr", 0.0),
        (2.0, 0.9, "kl", 0.0), (3.0, 0.7, "elr", 1e-4), (3.0, 0.7, "elr", 0.05)]


def ideal(n, tau, c, m):
    y, y_obs, flipped = two_class_labels(n, tau)
    patches = np.stack([y, 2 + np.arange(n)], 1)
    return ideal_scene([c], patches, y, y_obs, 2, m, sorted_start(y_obs, m, 2)), flipped


@pytest.mark.statement("prop-elr-exact")
@pytest.mark.parametrize(("strength", "momentum", "term", "clamp"), RUNS)
def test_prop_elr_exact(strength, momentum, term, clamp):
    """prop-elr-exact: gradient descent on an idealised draw is the Euler scheme, to rounding, also once the noise
    responses of noisy samples are back at 0 (strengths 3 and 7) and under the clamp."""
    n, m, h, steps, c, tau = 80, 4, 0.05, 200, 8.0, 0.1
    scene, flipped = ideal(n, tau, c, m)
    at = [1, 20, steps]
    record = descend_variant([scene], h * n * m, steps, record_at=at, n_test=0, strength=strength,
                             momentum=momentum, term=term, clamp=clamp)
    law = elr_euler(c, tau, strength, momentum, h, steps, term=term, clamp=clamp)
    for which, margin in ((flipped, law.noisy_margin), (~flipped, law.clean_margin)):
        expected = np.broadcast_to(margin[at][:, None], (3, which.sum()))
        np.testing.assert_allclose(record.margins[0][:, which], expected, **CLOSE)


@pytest.mark.statement("prop-elr-exact")
def test_prop_elr_exact_without_the_term_is_the_law_of_chapter_six():
    signal, clean, noisy = euler(base_slopes(8.0, 0.1), 3, 0.05, 200)
    law = elr_euler(8.0, 0.1, 0.0, 0.7, 0.05, 200)
    np.testing.assert_allclose([law.signal[-1], law.r_clean[-1], law.r_noisy[-1]], [signal, clean, noisy], **CLOSE)
    times = np.linspace(0, 30, 7)
    for memory in (0.0, 1.0):
        ours, book = elr_law(8.0, 0.1, 0.0, memory, times), limit_law(8.0, 0.1, times)
        np.testing.assert_allclose(ours.noisy_margin, book.noisy_margin, atol=1e-7)
        np.testing.assert_allclose(ours.reused_noise_error(0.1), book.reused_noise_error)


@pytest.mark.statement("thm-elr-settled")
@settings(max_examples=15)
@given(st.floats(1.2, 30), st.floats(0, 0.45), st.floats(0.05, 6))
def test_thm_elr_settled(c, tau, strength):
    """thm-elr-settled: the sign of the noisy margin in the end and always, its limit, and the error on reused noise."""
    assume(c * (1 - 2 * tau) > 1.05)
    needed = elr.elr_strength_needed(c, tau)
    assume(abs(strength / needed - 1) > 0.05)
    speed = (1 + 2 * c) * max(strength, 1) / 2
    times = np.r_[0, np.geomspace(1e-3, min(3e3, 600 / speed) if strength > 0.5 else 3e3, 400)]
    law = elr_law(c, tau, strength, 0.0, times)
    v = law.noisy_margin[1:]
    assert (np.diff(law.clean_margin) > 0).all() and v[0] < 0
    if strength > needed:
        assert (v < 0).all() and (law.reused_noise_error(tau)[1:] == 0).all()
        if strength >= 1:
            assert (v <= -(c * (1 - 2 * tau) - 1) * times[1:] / 4 + 1e-6).all()
    else:
        low = v.argmin()  # one turn, one zero; the slack is rounding
        assert (np.diff(v[:low + 1]) < 1e-9).all() and (np.diff(v[low:]) > -1e-9).all() and np.diff(v > 0).sum() <= 1


@pytest.mark.statement("thm-elr-settled")
@pytest.mark.parametrize(("c", "tau", "strength"),
                         [(8.0, 0.1, 0.1), (8.0, 0.1, 0.22), (8.0, 0.1, 0.3), (4.0, 0.2, 0.6)])
def test_thm_elr_settled_limit_of_the_noisy_margin(c, tau, strength):
    """thm-elr-settled: v tends to 2 artanh((1 - q* lambda) / (1 - lambda)); u grows in a straight line."""
    law = elr_law(c, tau, strength, 0.0, [0.0, 500.0, 1000.0])
    assert law.noisy_margin[-1] == pytest.approx(elr.elr_last_noisy_margin(c, tau, strength), abs=1e-3)
    assert law.clean_margin[-1] / law.clean_margin[-2] == pytest.approx(2, rel=0.05)
    assert elr.elr_last_noisy_margin(c, tau, 1.0) == -np.inf
    assert (elr.elr_last_noisy_margin(c, tau, strength) > 0) == (strength < elr.elr_strength_needed(c, tau))


@pytest.mark.statement("thm-elr-settled")
@pytest.mark.parametrize("h", [0.05, 0.5, 4.0])
def test_thm_elr_settled_holds_for_any_step_at_strength_one_and_more(h):
    """thm-elr-settled, last claim: without momentum the Euler scheme never returns, whatever the step."""
    for strength in (1.0, 3.0, 7.0):
        law = elr_euler(8.0, 0.2, strength, 0.0, h, 10)
        assert (np.diff(law.noisy_margin) < 0).all() and (law.reused_noise_error(0.2)[1:] == 0).all()


def test_below_the_line_the_border_at_strength_three_is_0_54():
    """The solution of ex-elr-below, for tau = 0.1: which way the noisy margin goes for good, with and without a
    strength; 1 / (1 - 2 tau) = 1.25 is where Stage I under cross-entropy begins."""
    ends = {c: elr_law(c, 0.1, 3.0, 0.0, [0.0, 50.0, 200.0]).noisy_margin[1:] for c in (0.53, 0.54, 0.96)}
    assert (ends[0.53] > 0).all() and (ends[0.54] < 0).all() and (ends[0.96] < 0).all()
    assert all(abs(end[1]) > abs(end[0]) for end in ends.values())
    for c, sign in ((1.2, 1), (1.3, -1)):
        law = elr_law(c, 0.1, 0.0, 0.0, np.linspace(0, 0.5, 11))
        assert (sign * law.noisy_margin[1:4] > 0).all()


@pytest.mark.statement("thm-elr-memory")
@settings(max_examples=25)
@given(st.floats(2, 30), st.floats(0, 0.3), st.floats(0.1, 8), st.floats(0.02, 0.6))
def test_thm_elr_memory(c, tau, strength, memory):
    """thm-elr-memory: from the first time at which the hypotheses hold, v < 0, no error on reused noise, and the
    constants bound what they claim to bound along the law. Slack: the integrator's error."""
    assume(c * (1 - 2 * tau) > 1.1)
    end = min(40.0, 500 / ((1 + 2 * c) * max(strength, 1) / 2))
    law = elr_law(c, tau, strength, memory, np.r_[0, np.geomspace(0.01, end, 60)])
    found = [(k, one) for k in range(1, 61) if (one := elr.elr_certificate(law, k, c, tau, strength, memory)).holds]
    assume(found)
    k, one = found[0]
    u, v = law.clean_margin[k:], law.noisy_margin[k:]
    pulls = elr.elr_pull(u, np.log(law.miss_clean[1, k:] / law.miss_clean[0, k:]), strength)
    assert (v[1:] < 0).all() and (law.reused_noise_error(tau)[k:] == 0).all() and (u >= u[0] - 1e-9).all()
    assert (pulls >= one.least_pull * (1 - 1e-6)).all()
    assert (law.miss_clean[0, k:] / expit(-u) <= one.ratio * (1 + 1e-6)).all()


@pytest.mark.statement("thm-elr-memory")
def test_thm_elr_memory_covers_the_papers_settings():
    """thm-elr-memory at lambda 3, beta 0.7 and h = 0.1, c = 8: its hypotheses hold from s of about 1 on; and they can
    fail, where the law does memorise."""
    times = np.r_[0, np.geomspace(0.05, 10, 60)]
    law = elr_law(8.0, 0.1, 3.0, 1 / 3, times)
    holds = [elr.elr_certificate(law, k, 8.0, 0.1, 3.0, 1 / 3).holds for k in range(61)]
    assert not holds[1] and 0.5 < times[holds.index(True)] < 2
    law = elr_law(8.0, 0.1, 1.0, 10.0, times)
    holds = [elr.elr_certificate(law, k, 8.0, 0.1, 1.0, 10.0).holds for k in range(1, 61)]
    assert law.noisy_margin[-1] > 0 and not any(holds)


@pytest.mark.statement("obs-elr-late")
def test_obs_elr_late_balance():
    """obs-elr-late: for strengths below 1 the sign of the noisy margin at s = 2000, 10% on both sides of the formula;
    beyond theta U = 1 no strength below 1 suffices."""
    for c, tau, memory in ((8.0, 0.1, 0.5), (8.0, 0.1, 1.0), (8.0, 0.2, 1.0), (20.0, 0.2, 2.0)):
        needed = elr.elr_late_strength_needed(c, tau, memory)
        assert elr.elr_strength_needed(c, tau) < needed < 0.9
        for factor in (0.9, 1.1):
            law = elr_law(c, tau, factor * needed, memory, [0.0, 2000.0])
            assert (law.noisy_margin[-1] < 0) == (factor > 1)
    assert elr.elr_late_strength_needed(8.0, 0.1, 4.0) == np.inf
    assert elr_law(8.0, 0.1, 0.9, 4.0, [0.0, 300.0]).noisy_margin[-1] > 0


# Samples whose signal speaks against their label

def contrary_margin(c, tau, strength, weight, end):
    """z(end) of one contrary sample in the settled law, or in that of cross-entropy for strength 0."""
    def slopes(_, state):
        signal, clean, noisy, own = state
        pulls = [elr.settled_elr_pull(z, strength) for z in (signal + clean, noisy - signal, own - weight * signal)]
        alive = noisy > 0 or pulls[1] > 0
        return [c / 2 * ((1 - tau) * pulls[0] - tau * pulls[1]), pulls[0] / 2, alive * pulls[1] / 2, pulls[2] / 2]

    state = solve_ivp(slopes, (0.0, end), np.zeros(4), rtol=1e-8, atol=1e-10).y[:, -1]
    return state[3] - weight * state[0]


@pytest.mark.statement("prop-elr-contrary")
def test_prop_elr_contrary():
    """prop-elr-contrary: beyond k = 1 / (c (1 - 2 tau)) a contrary clean sample is lost for lambda >= 1; cross-entropy
    learns it in the end."""
    for c, tau, strength in ((8.0, 0.1, 1.0), (8.0, 0.2, 3.0), (4.0, 0.1, 1.7)):
        weight = 1.02 / (c * (1 - 2 * tau))
        early, late = (contrary_margin(c, tau, strength, weight, end) for end in (1.0, 20.0))
        assert late < early < 0
        assert contrary_margin(c, tau, 0.0, 1.0, 200.0) > contrary_margin(c, tau, 0.0, 1.0, 30.0) > 0


def contrary_margin_of_the_scheme(strength, momentum, weight, h, end):
    """z(end) of one contrary sample beside the Euler scheme at c = 8, tau = 0.1."""
    signal = elr_euler(8.0, 0.1, strength, momentum, h, round(end / h)).signal
    r, z, miss, alive = 0.0, 0.0, np.ones(2), True
    for k in range(1, len(signal)):
        miss = momentum * miss + (1 - momentum) * expit([-z, z])
        r += alive * h / 2 * elr.elr_pull(z, np.log(miss[1] / miss[0]), strength)
        alive, r = alive and r > 0, max(r, 0.0)
        z = r - weight * signal[k]
    return z


@pytest.mark.statement("prop-elr-contrary")
def test_prop_elr_contrary_is_sharp_at_strength_one():
    """prop-elr-contrary: at lambda = 1 the border is k c (1 - 2 tau) = 1, that is 0.156. At lambda = 3 the law's border
    is 0.048 without memory and 0.108 with the momentum and the step of the runs, as the chapter says."""
    for strength, momentum, h, border in ((1.0, 0.0, 0.1, 1 / 6.4), (3.0, 0.0, 0.01, 0.048), (3.0, 0.7, 0.1, 0.108)):
        kept, lost = (contrary_margin_of_the_scheme(strength, momentum, k * border, h, 20.0) for k in (0.93, 1.07))
        assert lost < 0 < kept


@pytest.mark.statement("obs-elr-world")
def test_obs_elr_world():
    """obs-elr-world: memorised shares and reused errors of 5 seeds at d = 2000, c = 8, tau = 0.1, s = 20: 0.96 and 0.05
    without the term, 0 with it."""
    law = problem(n=200, d=2000, c=8.0, tau=0.1)
    drawn = [scenes.two_class_scene(law, 20, 0.03 / 2000**0.5, seed) for seed in range(5)]
    ends = {}
    for name, method in (("plain", {}), ("elr", {"strength": 3.0}), ("kl", {"strength": 3.0, "term": "kl"})):
        record = descend_variant(drawn, 0.1 * 200 * 20 / 2000, 200, record_at=[200], n_test=200, **method)
        ends[name] = (record.mean_over(record.fits_observed, "noisy").mean(), record.reused_error.mean())
    assert ends["plain"][0] > 0.9 and ends["kl"][0] > 0.9 and ends["plain"][1] > 0.03
    assert ends["elr"] == (0.0, 0.0)
