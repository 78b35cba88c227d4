"""The laboratory page in a real browser: its engine and law against Python's, its draws, its controls.

Skipped where there is no Playwright or no Chromium (`pytest -rs` says which).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browsers import complaints
from laboratory import exported_law, exported_run
from scipy import stats

from helpers import SignalNoise
from helpers.engine.gram import draw_products
from helpers.plots import COLORS
from helpers.streams import random_stream

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page as the book builds it, on disk."""
    site = tmp_path_factory.mktemp("laboratory")
    for name in ("_config.yml", "tools", "book/assets", "book/references.bib", "book/laboratory.md"):
        source, target = ROOT / name, site / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    (site / "_toc.yml").write_text("format: jb-book\nroot: book/laboratory\n")
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "."]
    done = subprocess.run(command, cwd=site, env=os.environ | {"GITHUB_REPOSITORY": ""}, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    page = site / "_build/html/book/laboratory.html"
    assert page.exists(), done.stdout
    return page.as_uri()


@pytest.fixture(scope="module")
def windows(browser):
    """window(**context options): a page and its faults; one for each set of options, since opening one takes long."""
    kept = {}

    def window(width=1280, height=900, **options):
        key = repr((width, height, sorted(options.items())))
        if key not in kept:
            page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
            kept[key] = page, complaints(page)
        return kept[key]

    return window


@pytest.fixture
def visit(windows, address):
    """visit(hash, **context options) opens the page, paused unless motion is asked for; errors and strangers fail."""
    opened = []

    def open_page(link="", reduced_motion="reduce", **options):
        page, faults = windows(reduced_motion=reduced_motion, **options)
        faults.clear()  # another test's
        opened.append((page, faults))
        page.goto("about:blank")  # else a new hash alone would not load the page again
        page.goto(address + link)
        if options.get("java_script_enabled", True):
            page.wait_for_function("() => window.laboratory?.app?.run?.reading.clean !== undefined")
        return page

    yield open_page
    for page, _ in opened:
        page.goto("about:blank")
    assert [fault for _, faults in opened for fault in faults] == []


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
    """The subgradient at 0, as in network.coefficient_steps: weights that start at 0 stay there."""
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
    theirs = [draw_products(problem, [problem.mu_norm], 2, m, init / d**0.5, random_stream(seed, "a test of the page"))
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


# --------------------------------------------------------------------------------------------------------- the page

STATE = """() => { const { app } = window.laboratory;
  const { playing, settings, run } = app;
  return { playing, settings, steps: run.steps, margin: run.margins[0], law: app.showLaw }; }"""


def state(page):
    """The page's state, once it has caught up with its controls."""
    page.wait_for_function("() => !window.laboratory.app.dirty")
    return page.evaluate(STATE)


FRAMES = """async () => {
  const { app } = window.laboratory, first = app.run.steps, begin = performance.now();
  let frames = 0;
  for (; performance.now() - begin < 1000; frames++) await new Promise(requestAnimationFrame);
  return [frames, app.run.steps - first];
}"""


@pytest.mark.parametrize("link", ["#n=200&m=50&speed=1&h=0.05", "#n=200&m=50&speed=8&h=0.01"])
def test_a_frame_is_fast(visit, link):
    """Steps, read-out and drawing of the largest run fit into a sixtieth of a second. What counts is the time that the
    page's thread works in a frame, scripts and pixels, not how long it waits for other work of the machine."""
    page = visit(link, reduced_motion="no-preference")
    page.wait_for_function("() => window.laboratory.app.run.steps > 40")  # until the browser has compiled it
    thread = page.context.new_cdp_session(page)
    thread.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked():
        return {one["name"]: one["value"] for one in thread.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    found = []
    while len(found) < 4 and min(found, default=99) >= 18:
        before, (frames, steps) = worked(), page.evaluate(FRAMES)
        found.append(1000 * (worked() - before) / frames)  # milliseconds
        assert steps > 0
    assert min(found) < 18, found  # 16.7, and something for caches that others use, too


def test_a_slow_machine_says_so(visit):
    """Eight hundred steps a frame are too many for any machine: the run falls behind, and the page gives its speed."""
    page = visit("#n=200&m=50&speed=8&h=0.01", reduced_motion="no-preference")
    page.wait_for_function("() => document.querySelector('[data-tile=steps]').textContent.includes(', at ')")
    pace, shown = page.evaluate("[window.laboratory.app.pace, document.querySelector('[data-tile=steps]').textContent]")
    assert 0 < pace < 0.9 and 0 < float(re.search(r"at ([\d.]+)×", shown)[1]) < 8


# Of every panel: whether all dots lie inside, and whether all that is drawn is finite.
INSIDE = """() => {
  const { app } = window.laboratory, panel = app.panels[0], { run } = app, seen = [];
  panel.sign = (x, y) => seen.push(x > panel.left + 4 && x < panel.right - 4 && y > panel.top && y < panel.bottom);
  panel.paint(panel, app);
  return seen.length === run.n && seen.every(Boolean) && app.panels.every(({ low, high }) => low < high && high < 99);
}"""


@pytest.mark.parametrize("link", [
    "#n=200&c=50&tau=0&dn=2&m=1", "#n=200&c=0.2&tau=0.49&dn=2&m=20", "#n=200&c=50&tau=0.49&dn=1000000000&m=1&init=1",
    "#n=20&c=0.2&tau=0&dn=1000000000&m=3&init=0.0001"])
def test_dots_stay_inside_at_the_ends_of_the_sliders(visit, link):
    page = visit(f"{link}&h=0.1")
    assert page.evaluate(INSIDE)
    for steps in (1, 20, 300):
        page.evaluate("(steps) => window.laboratory.app.actions.step(steps)", steps)
        page.evaluate("() => window.laboratory.app.draw()")
        assert page.evaluate(INSIDE), steps


def test_buttons_play_pause_step_and_reset(visit):
    page = visit(reduced_motion="no-preference")
    page.wait_for_function("() => window.laboratory.app.run.steps > 3")  # it starts by itself
    page.click("[data-do=play]")
    paused = state(page)
    assert not paused["playing"] and page.inner_text("[data-do=play]") in ("Play", "Pause")
    page.wait_for_timeout(150)
    assert state(page)["steps"] == paused["steps"]
    page.click("[data-do=step]")
    assert state(page)["steps"] == paused["steps"] + 1
    page.click("[data-do=reset]")
    assert state(page)["steps"] == 0 and not state(page)["playing"]
    page.click("canvas >> nth=0")
    page.wait_for_function("() => window.laboratory.app.run.steps > 0")
    page.click("[data-do=seed]")
    assert state(page)["settings"]["seed"] == 3


def test_reduced_motion_starts_paused(visit):
    page = visit()
    page.wait_for_timeout(200)
    assert state(page)["steps"] == 0 and not state(page)["playing"]


def test_keys_work_and_are_not_stolen_from_inputs(visit):
    page = visit()
    page.keyboard.press(".")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert state(page)["steps"] == 12
    page.keyboard.press("l")
    assert not state(page)["law"]
    page.keyboard.press("n")
    assert state(page)["settings"]["seed"] == 3 and state(page)["steps"] == 0
    page.keyboard.press("+")
    assert state(page)["settings"]["speed"] == 2
    before = page.evaluate("scrollY")
    page.keyboard.press("Space")
    assert state(page)["playing"] and page.evaluate("scrollY") == before
    page.keyboard.press("r")
    page.keyboard.press("Space")
    assert not state(page)["playing"]

    page.focus("#lab-c")  # a slider keeps its arrows, the rest still works
    held = state(page)["steps"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert state(page)["settings"]["c"] == 8 and state(page)["steps"] in (0, held)
    page.keyboard.press("ArrowRight")
    assert state(page)["settings"]["c"] == 10 and page.inner_text("output[for=lab-c]") == "10"
    page.focus("#lab-seed")  # a field keeps everything
    page.fill("#lab-seed", "")
    for key in ("4", "2", "r", "n", ".", "Space"):
        page.keyboard.press(key)
    after = state(page)
    assert after["settings"]["seed"] in (42, 42.0) and not after["playing"] and after["steps"] == 0
    page.click("summary:has-text('More')")
    page.uncheck("[name=keys]")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(".")
    assert state(page)["steps"] == 0


def test_a_link_carries_the_settings(visit):
    page = visit("#c=4&tau=0.2&dn=3&m=7&n=40&seed=11&speed=4&h=0.1&init=0.1&law=0")
    seen = state(page)
    expected = {"c": 4, "tau": 0.2, "dn": 3, "m": 7, "n": 40, "seed": 11, "speed": 4, "h": 0.1, "init": 0.1, "law": 0}
    assert {name: seen["settings"][name] for name in expected} == expected and not seen["law"]
    page.focus("#lab-tau")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(".")
    page.keyboard.press(".")
    first = state(page)
    link = page.evaluate("location.hash")
    assert "tau=0.21" in link and first["steps"] == 2
    page = visit(link)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("r")
    state(page)
    page.keyboard.press(".")
    page.keyboard.press(".")
    second = state(page)
    assert second["margin"] == first["margin"] and second["settings"] == first["settings"]


@pytest.mark.parametrize(("link", "named"), [
    ("#keys", []), ("#c=8&tau=0.1&law=0", []), ("#c=NaN&tau=7&seed=-3&n=1e9&m=", ["c = NaN", "tau", "seed", "n"]),
    ("#c=Infinity&dn=-1&seed=2.7", ["c", "dn", "seed"]), ("#toString=1&%=%&init=0", ["toString", "%", "init"])])
def test_strange_links_do_no_harm_and_are_named(visit, link, named):
    page = visit(link)
    settings, said = state(page)["settings"], page.inner_text(".lab-said")
    assert 0.2 <= settings["c"] <= 50 and 0 <= settings["tau"] <= 0.49 and 0.0001 <= settings["init"] <= 1
    assert 1 <= settings["m"] <= 50 and 20 <= settings["n"] <= 200 and settings["seed"] in range(2**32)
    assert said.count(" = ") == len(named) and all(name in said for name in named)


def test_the_link_can_be_copied_by_hand(visit):
    """Where the page may not write to the clipboard, as in some browsers from disk, the link is shown and selected."""
    page = visit("#c=4&n=40")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    page.click("[data-do=link]")
    page.wait_for_selector(".lab-link", state="visible")
    shown = page.evaluate("[document.activeElement.value, getSelection().toString(), location.href]")
    assert shown[0] == shown[1] == shown[2] and "c=4&" in shown[2]


def test_experiments_set_the_laboratory_up(visit):
    page = visit()
    links = page.locator(".lab-try")
    assert links.count() == 5
    links.nth(1).click()
    settings = state(page)["settings"]
    assert settings["c"] == 1 and settings["law"] == 0 and "c=1&" in page.evaluate("location.hash")
    page.keyboard.press("Space")  # the keys go to the laboratory, not to the button again
    assert state(page)["playing"]


def test_the_summary_says_what_the_canvases_show(visit):
    page = visit("#c=8&tau=0.2&n=100&seed=3")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("() => document.querySelector('.lab-summary').textContent.includes('step 10:')")
    said = page.inner_text(".lab-summary")
    reading = page.evaluate("() => ({ ...window.laboratory.app.run.reading })")
    assert f"{reading['noisyFitted']} of {reading['noisy']} fitted as labelled" in said
    assert f"mean margin {reading['noisyMargin']:.2f}" in said
    assert f"{100 * reading['freshError']:.1f}% on new noise, {100 * reading['reusedError']:.1f}% on reused" in said
    assert page.inner_text("[data-tile=fresh]") == f"{100 * reading['freshError']:.1f}%"
    assert page.inner_text("[data-tile=noisy]") == f"{reading['noisyFitted']} / {reading['noisy']}"
    assert page.inner_text("[data-tile=stage]") in said
    assert said.endswith("(n = 100, c = 8, τ = 0.2, d/n = 10⁶, m = 20, seed 3.)")
    names = [page.locator("canvas").nth(k).get_attribute("aria-label") for k in range(4)]
    assert all(re.search(r"\d", name) for name in names)
    labels = page.evaluate("[...document.querySelectorAll('.lab [name]')].map((one) => one.labels.length)")
    assert len(labels) == 11 and set(labels) == {1}


def test_a_voice_hears_the_stages_and_no_more(visit):
    """While it runs only a change of stage is announced, and nothing else on the page is a live region that changes."""
    page = visit("#c=8&tau=0.1&m=20&n=60&h=0.1&speed=8")
    page.evaluate("""() => { window.heard = []; for (const one of document.querySelectorAll("[role=status]")) {
      new MutationObserver(() => window.heard.push(one.textContent)).observe(one, { childList: true });
    } }""")
    live = page.evaluate("[...document.querySelectorAll('.lab output, .lab [aria-live]')].map((one) => one.ariaLive)")
    assert set(live) == {"off"}
    page.keyboard.press("Space")
    page.wait_for_function("() => window.laboratory.app.finished")
    page.wait_for_timeout(100)
    heard = page.evaluate("window.heard.filter((words) => words !== '')")
    assert 2 <= len(heard) <= 6 and heard[0].startswith("Running") and heard[-1].startswith("Finished at s = 300.00")
    assert heard[-1].endswith("every label fitted, the noisy ones memorised.")


def test_touch_on_a_telephone(visit):
    page = visit(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heights = page.evaluate("[...document.querySelectorAll('canvas')].map((one) => one.clientHeight)")
    assert len(heights) == 4 and min(heights) > 150
    page.tap("[data-do=step]")
    assert state(page)["steps"] == 1
    page.tap("canvas >> nth=0")
    page.wait_for_function("() => window.laboratory.app.run.steps > 2")
    page.tap("canvas >> nth=0")
    assert not state(page)["playing"]
    page.locator("#lab-tau").scroll_into_view_if_needed()
    box = page.locator("#lab-tau").bounding_box()
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert state(page)["settings"]["tau"] > 0.3 and state(page)["steps"] == 0
    sizes = page.evaluate("[...document.querySelectorAll('.lab button, .lab-sliders:not(details *) input')]"
                          ".map((one) => one.getBoundingClientRect().height)")
    assert min(sizes) >= 44
    page.tap(".lab-try >> nth=0")
    page.wait_for_function("scrollY < 800")
    top, header = page.evaluate("""() => ["#laboratory", ".bd-header-article"].map((one) =>
      document.querySelector(one).getBoundingClientRect())""")
    assert header["bottom"] <= top["top"] < 200  # the theme's bar covers nothing
    drawn = page.evaluate("document.querySelector('canvas').width / document.querySelector('canvas').clientWidth")
    assert drawn == pytest.approx(3, abs=0.02)


def test_dark_and_light_colours(visit):
    page = visit()
    colors = page.evaluate("window.laboratory.app.colors")
    assert {name: colors[name].lower() for name in COLORS} == {name: color.lower() for name, color in COLORS.items()}
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("() => window.laboratory.app.colors.theory.toLowerCase() === '#ffffff'")


def test_without_javascript_the_page_says_so(visit):
    page = visit(java_script_enabled=False)
    assert "needs JavaScript" in page.inner_text("body") and not page.is_visible("#laboratory")
