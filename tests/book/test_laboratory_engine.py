"""The laboratory's engine, law and draws in a real browser, against Python's.

Skipped where there is no Playwright or no Chromium (`pytest -rs` says which).
"""

import json

import execution
import numpy as np
import pytest
from laboratory import exported_law, exported_run
from scipy import stats

from helpers import SignalNoise
from helpers.engine.gram import draw_gram
from helpers.streams import random_stream

ROOT = execution.ROOT


@pytest.fixture(scope="module")
def engine(browser):
    """A blank page with the module alone: nothing moves while the engine is examined."""
    page = browser.new_page()
    page.add_script_tag(path=ROOT / "book/assets/laboratory.js")
    yield page
    page.close()


# ------------------------------------------------------------------------------------------------------- the engine

# The largest distance of each exported quantity, over all recorded steps. rho of the record: own and other sign, mean.
COMPARE = """([text, faster]) => {
  const { start, times, results, final } = JSON.parse(text), lab = window.laboratory;
  start.rate *= faster;
  const run = lab.createRun(start), { n, m } = run, size = n + 1, worst = {};
  const note = (name, ours, theirs) => {
    if (ours.length !== theirs.length) throw new Error(`${name}: ${ours.length} numbers against ${theirs.length}`);
    const gap = Math.max(...Array.from(ours, (value, i) => Math.abs(value - theirs[i])));
    worst[name] = Math.max(worst[name] ?? 0, Number.isNaN(gap) ? Infinity : gap);
  };
  let gamma, rho;
  times.forEach((time, t) => {
    while (run.steps < time) lab.step(run);
    const reading = lab.read(run), own = new Float64Array(n), cross = new Float64Array(n);
    gamma = new Float64Array(2 * m), rho = new Float64Array(2 * m * n);
    for (let row = 0; row < 2 * m; row++) {
      const sign = row < m ? 1 : -1;
      gamma[row] = sign * run.coefficients[row * size] * run.gram[0];
      for (let i = 0; i < n; i++) {
        const value = run.coefficients[row * size + i + 1] * run.gram[(i + 1) * (size + 1)];
        rho[row * n + i] = value;
        (run.yObs[i] === sign ? own : cross)[i] += value / m;
      }
    }
    note("margins", run.margins, results.margins[t]);
    note("gamma", gamma, results.gamma[t]);
    note("rho", own, results.rho[t]);
    note("shown rho", run.own, results.rho[t]);
    note("shown gamma", [reading.gamma], [results.gamma[t].reduce((a, b) => a + b) / (2 * m)]);
    note("rho_cross", cross, results.rho_cross[t]);
    note("fresh_error", [reading.freshError], results.fresh_error[t]);
    note("reused_error", [reading.reusedError], results.reused_error[t]);
    const mean = (clean) => {
      const chosen = results.margins[t].filter((_, i) => (start.y[i] === start.yObs[i]) === clean);
      return chosen.length ? chosen.reduce((a, b) => a + b) / chosen.length : null;
    };
    note("shown margins", [reading.cleanMargin], [mean(true)]);
    if (mean(false) !== null) note("shown noisy margins", [reading.noisyMargin], [mean(false)]);
  });
  note("every gamma", gamma, final.gamma);
  note("every rho", rho, final.rho);
  return worst;
}"""


def export(n, m, d_over_n, c, flip_plus, flip_minus, steps, h=0.1, init=0.03, seed=0):
    d = int(n * d_over_n)
    problem = SignalNoise(n, d, n_snr2=c, flip_plus=flip_plus, flip_minus=flip_minus)
    return exported_run(problem, m, init / d**0.5, h * n * m / d, steps, seed)


@pytest.mark.parametrize("setting", [
    dict(n=200, m=20, d_over_n=10, c=8.0, flip_plus=0.1, flip_minus=0.1, steps=1000),
    dict(n=100, m=10, d_over_n=10**6, c=4.0, flip_plus=0.0, flip_minus=0.0, steps=1000),
    dict(n=40, m=5, d_over_n=2, c=2.0, flip_plus=0.2, flip_minus=0.3, steps=3000, seed=1),
    dict(n=20, m=1, d_over_n=10**9, c=20.0, flip_plus=0.4, flip_minus=0.4, steps=1000, init=1e-4, seed=2),
], ids=lambda setting: "n{n} m{m} d/n {d_over_n} tau {flip_plus}".format(**setting))
def test_browser_engine_agrees_with_the_python_engine(engine, setting):
    worst = engine.evaluate(COMPARE, [export(**setting), 1])
    assert len(worst) >= 11 and max(worst.values()) < 1e-6, worst


def test_the_comparison_can_fail(engine):
    """A step longer by a part in ten thousand shows."""
    setting = dict(n=20, m=3, d_over_n=100, c=8.0, flip_plus=0.2, flip_minus=0.2, steps=1000)
    assert engine.evaluate(COMPARE, [export(**setting), 1.0001])["margins"] > 1e-5


def test_a_filter_that_responds_with_zero_does_not_move(engine):
    """The subgradient at 0, as in network_decomposition.decomposition_steps: weights that start at 0 stay there."""
    moved = engine.evaluate("""() => {
      const settings = { n: 10, d: 100, m: 2, c: 8, tau: 0.1, init: 0, h: 0.1, seed: 1, tests: 10 };
      const run = window.laboratory.createRun(window.laboratory.drawStart(settings));
      window.laboratory.step(run);
      return run.responses.some((response) => response !== 0);
    }""")
    assert moved is False


LAW = """(text) => {
  const { c, tau, times, law, numbers } = JSON.parse(text);
  const ours = window.laboratory.limitLaw(c, tau, times), found = window.laboratory.lawNumbers(c, tau), worst = {};
  for (const name in law) worst[name] = Math.max(...law[name].map((value, t) => Math.abs(value - ours[name][t])));
  for (const name in numbers) worst[name] = Math.abs(found[name] - numbers[name]) / Math.max(1, numbers[name]);
  return worst;
}"""


@pytest.mark.statement("prop-memorisation-time", "prop-late-gap")
@pytest.mark.parametrize(("c", "tau"), [(8.0, 0.1), (1.0, 0.1), (4.0, 0.2), (20.0, 0.3), (50.0, 0.49), (50.0, 0.25),
                                        (2.0, 0.0), (0.2, 0.4)])
def test_browser_law_agrees_with_the_python_law(engine, c, tau):
    """def-limit-law, prop-memorisation-time and prop-late-gap as the page computes them."""
    times = np.r_[0.0, np.geomspace(1e-3, 300, 60)]
    worst = engine.evaluate(LAW, exported_law(c, tau, times))
    assert len(worst) == 10 and max(worst.values()) < 1e-6, worst


TURNED = """([text, turn]) => {
  const { start } = JSON.parse(text), lab = window.laboratory, { n, m } = start, size = n + 1;
  const changed = { ...start }, range = (count) => Array.from({ length: count }, (_, k) => k);
  let columns = range(size), rows = range(2 * m), sign = 1;
  if (turn === "samples") columns = [0, ...range(n).map((i) => n - i)];
  if (turn === "filters") rows = [...range(m).map((r) => m - 1 - r), ...range(m).map((r) => 2 * m - 1 - r)];
  if (turn === "labels") { rows = range(2 * m).map((r) => (r + m) % (2 * m)); sign = -1; }
  const on = (k) => (k === 0 ? sign : 1); // with the labels mu is turned round, so that the patches stay what they are
  for (const name of ["y", "yObs"]) changed[name] = columns.slice(1).map((k) => sign * start[name][k - 1]);
  changed.gram = columns.flatMap((k) => columns.map((l) => on(k) * on(l) * start.gram[k * size + l]));
  changed.responses = rows.flatMap((r) => columns.map((k) => on(k) * start.responses[r * size + k]));
  changed.weightGram = rows.flatMap((a) => rows.map((b) => start.weightGram[a * 2 * m + b]));
  const [before, after] = [start, changed].map((one) => lab.createRun(one));
  for (let k = 0; k < 300; k++) { lab.step(before); lab.step(after); }
  const [one, other] = [before, after].map((run) => lab.read(run));
  const same = ["gamma", "clean", "noisy", "cleanFitted", "noisyFitted", "cleanMargin", "noisyMargin", "rhoClean",
    "rhoNoisy", "reusedError"];
  return Math.max(...same.map((name) => Math.abs(one[name] - other[name])),
    ...columns.slice(1).map((k, i) => Math.abs(before.margins[k - 1] - after.margins[i])));
}"""


@pytest.mark.parametrize("turn", ["samples", "filters", "labels"])
def test_names_do_not_matter(engine, turn):
    """Neither the order of samples and filters, nor which class is called +1; read in the page's own numbers."""
    text = export(n=30, m=4, d_over_n=5, c=4.0, flip_plus=0.2, flip_minus=0.3, steps=1)
    assert engine.evaluate(TURNED, [text, turn]) < 1e-9


def test_a_reading_may_leave_out_its_dear_part(engine):
    """read(run, false) keeps the last error on new noise, and gives all else as read(run) does."""
    gaps = engine.evaluate("""(text) => {
      const { start } = JSON.parse(text), lab = window.laboratory, run = lab.createRun(start);
      const first = lab.read(run).freshError;
      for (let k = 0; k < 50; k++) lab.step(run);
      const light = { ...lab.read(run, false) }, full = { ...lab.read(run) };
      const rest = Object.keys(full).filter((name) => name !== "freshError");
      return [light.freshError - first, full.freshError - first, ...rest.map((name) => full[name] - light[name])];
    }""", export(n=30, m=4, d_over_n=100, c=4.0, flip_plus=0.2, flip_minus=0.2, steps=1))
    assert gaps[0] == 0 and gaps[1] != 0 and not any(gaps[2:])


@pytest.mark.parametrize(("argument", "value"), [
    ("problem", SignalNoise(9, 90, n_snr2=1.0, noise_std=2.0)), ("seed", -1), ("lr", 0.0),
    ("problem", SignalNoise(9, 90, n_snr2=1.0, orthogonal=True))])
def test_export_refuses_what_the_page_cannot_take(argument, value):
    given = dict(problem=SignalNoise(9, 90, n_snr2=1.0), m=2, init_std=0.01, lr=0.1, steps=1, seed=0)
    with pytest.raises(ValueError, match=argument):
        exported_run(**given | {argument: value})


# -------------------------------------------------------------------------------------------------------- the draws

def moments(gram, responses, weight_gram):
    """{name: one number a draw}: means of entries that share a law, of their squares, and of a product."""
    noise, (below, below_w) = gram[:, 1:, 1:], (np.tril_indices(matrix.shape[1], -1) for matrix in (gram, weight_gram))
    parts = {"along": gram[:, 0, 1:], "squares": np.diagonal(noise, 0, 1, 2), "products": gram[:, below[0], below[1]],
             "last square": noise[:, -1, -1:], "on signal": responses[:, :, 0], "on noise": responses[:, 0, 1:],
             "weights": np.diagonal(weight_gram, 0, 1, 2), "between weights": weight_gram[:, below_w[0], below_w[1]],
             "weights and noise": (responses[:, 0, 1] * responses[:, 0, 2] * noise[:, 0, 1])[:, None]}
    return {f"{name}, power {power}": (part**power).mean(1) for name, part in parts.items() for power in (1, 2)}


@pytest.mark.statement("thm-wishart")
@pytest.mark.parametrize("d", [13, 60, 10**12])
def test_browser_draws_follow_the_law_of_the_python_draws(engine, d):
    """thm-wishart: the same means and mean squares. Draws are independent, so the difference of two means is nearly
    normal; none of 18 may exceed 4.5 standard errors (the seeds are fixed)."""
    n, m, c, init, draws = 12, 3, 4.0, 0.5, 400
    text = engine.evaluate("""([n, m, d, c, init, draws]) => {
      const kept = { gram: [], responses: [], weightGram: [], y: [], yObs: [] };
      for (let seed = 0; seed < draws; seed++) {
        const start = window.laboratory.drawStart({ n, d, m, c, tau: 0.3, init, h: 0.1, seed, tests: 1 });
        for (const name in kept) kept[name].push(...start[name]);
      }
      return JSON.stringify(kept);
    }""", [n, m, d, c, init, draws])
    ours = {name: np.array(values) for name, values in json.loads(text).items()}
    shapes = {"gram": (n + 1, n + 1), "responses": (2 * m, n + 1), "weightGram": (2 * m, 2 * m)}
    ours |= {name: ours[name].reshape(draws, *shape) for name, shape in shapes.items()}
    ours_moments = moments(*(ours[name] for name in shapes))
    problem = SignalNoise(n, d, n_snr2=c)
    theirs = [draw_gram(problem, [problem.mu_norm], 2, m, init / d**0.5, random_stream(seed, "a test of the page"))
              for seed in range(draws)]
    parts = zip(zip(*theirs), shapes.values())
    theirs_moments = moments(*(np.stack(part).reshape(draws, *shape) for part, shape in parts))
    for name, one in ours_moments.items():
        other = theirs_moments[name]
        error = np.hypot(stats.sem(one), stats.sem(other))
        assert abs(one.mean() - other.mean()) < 4.5 * error, (name, one.mean(), other.mean(), error)
    np.testing.assert_allclose(ours["gram"][:, 0, 0], c * d / n, rtol=1e-12)
    flips = int((ours["y"] != ours["yObs"]).sum())
    assert stats.binomtest(flips, draws * n, 0.3).pvalue > 1e-4
    assert stats.binomtest(int((ours["y"] > 0).sum()), draws * n, 0.5).pvalue > 1e-4


def test_browser_generator(engine):
    """Normals and chi variables have their distribution; streams of one seed and seeds of one stream are unrelated."""
    numbers = json.loads(engine.evaluate("""() => {
      const draw = (seed, name, method, ...rest) => {
        const stream = window.laboratory.generator(seed, name);
        return Array.from({ length: 4000 }, () => stream[method](...rest));
      };
      const kept = { normal: draw(1, "a", "normal"), again: draw(1, "a", "normal"), other: draw(1, "b", "normal"),
        seed: draw(2, "a", "normal"), far: draw(2 ** 32 + 1, "a", "normal"), uniform: draw(1, "a", "uniform") };
      for (const degrees of [1, 2, 30, 1e12]) kept[degrees] = draw(3, "a", "chi", degrees);
      return JSON.stringify(kept);
    }"""))
    assert numbers["normal"] == numbers["again"]
    laws = {"normal": stats.norm, "uniform": stats.uniform, "1": stats.chi(1), "2": stats.chi(2), "30": stats.chi(30),
            "1000000000000": stats.norm(1e6, 0.5**0.5)}
    for name, law in laws.items():
        assert stats.kstest(numbers[name], law.cdf).pvalue > 1e-3, name
    for name in ("other", "seed", "far"):
        assert abs(np.corrcoef(numbers["normal"], numbers[name])[0, 1]) < 4 / 4000**0.5
