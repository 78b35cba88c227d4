"""The numbers that book/laboratory.md gives beside its experiments, from ten runs of the Python engine each.

Run as `python tools/laboratory_numbers.py`, it writes them into the page, between the two lines of MARKS. A test
computes them anew and compares.
"""

from pathlib import Path

import numpy as np

from helpers import SignalNoise, limit_law
from helpers.engine.descent import descend
from helpers.intervals import t_interval

PAGE = Path(__file__).resolve().parent.parent / "book/laboratory.md"
MARKS = ("% numbers of tools/laboratory_numbers.py", "% end of numbers")
SEEDS, N, STEP, INIT = range(10), 200, 0.1, 0.03  # samples, step on the clock s, initial size sigma_0 sqrt(d)


class Runs:
    """Ten runs of a setting of the page, recorded at the given times s; each measure is one number a run."""

    def __init__(self, c, tau, times, d_over_n=10**6, m=20, init=INIT):
        d, steps = N * d_over_n, [round(s / STEP) for s in times]
        problem = SignalNoise(N, d, n_snr2=c, flip_plus=tau, flip_minus=tau)
        self.record = descend(problem, m, init / d**0.5, STEP * N * m / d, steps[-1], list(SEEDS), record_at=steps)
        self.law, self.noisy = limit_law(c, tau, times), self.record.y != self.record.y_obs
        self.at = {s: t for t, s in enumerate(times)}

    def mean(self, values, noisy):
        """Mean of values (runs, n) over the clean or the noisy samples of each run."""
        return np.where(self.noisy == noisy, values, 0).sum(1) / (self.noisy == noisy).sum(1)

    def margins(self, s):
        return self.record.margins[:, self.at[s]]

    def fitted(self, s, noisy):
        return self.mean(self.margins(s) > 0, noisy)

    def spread(self, s, noisy):
        """Standard deviation of the margins of a group."""
        centred = self.margins(s) - self.mean(self.margins(s), noisy)[:, None]
        return self.mean(centred**2, noisy) ** 0.5

    def above_law(self, s, noisy):
        law = self.law.noisy_margin if noisy else self.law.clean_margin
        return self.mean(self.margins(s), noisy) - law[self.at[s]]

    def loss_ratio(self, s):
        losses = np.logaddexp(0, -self.margins(s))
        return self.mean(losses, True) / self.mean(losses, False)

    def error(self, kind, s):
        return getattr(self.record, f"{kind}_error")[:, self.at[s]]


def share(value):
    """A share in percent."""
    return f"{100 * value:.1f}%"


def number(value):
    return f"{value:.2f}"


def interval(values, words):
    """Mean over runs and Student's 95% interval of it."""
    return " ± ".join(map(words, t_interval(values)))


def line(*cells):
    return "| " + " | ".join(cells) + " |"


def row(experiment, what, law, values, words=share):
    """A line of the table; `law` is a number or None."""
    low, high = words(values.min()), words(values.max())
    extent = [f"{low} in each run", ""] if low == high else [interval(values, words), f"{low} to {high}"]
    return line(experiment, what, "–" if law is None else words(law), *extent)


def experiments():
    """Lines of the table of the five experiments."""
    one, two = Runs(8, 0.1, [2, 30, 100]), Runs(1, 0.1, [0.5, 30])
    above = Runs(1.5, 0.1, [0.5])
    near, far = Runs(2, 0.2, [0.5, 30], d_over_n=3), Runs(2, 0.2, [0.5, 30])
    four, five = Runs(20, 0.4, [0.5, 20]), Runs(8, 0.1, [300], m=1)
    half, ratio = one.noisy.mean(1) / 2, one.law.noisy_loss / one.law.clean_loss
    lawful = limit_law(1.5, 0.1, [0.5])
    return [
        row("1", "clean samples fitted, $s = 2$", 1, one.fitted(2, False)),
        row("1", "noisy samples rejected, $s = 2$", 1, 1 - one.fitted(2, True)),
        row("1", "noisy samples memorised, $s = 30$", 1, one.fitted(30, True)),
        row("1", "error on reused noise less half the flips drawn, $s = 30$", 0, one.error("reused", 30) - half),
        row("1", "mean loss, noisy over clean, $s = 100$", ratio[2], one.loss_ratio(100), number),
        row("2", "noisy samples fitted to wrong labels, $s = 0.5$", 1, two.fitted(0.5, True)),
        row("2", "error on reused noise, $s = 0.5$", two.law.reused_noise_error[0], two.error("reused", 0.5)),
        row("2", "error on reused noise, $s = 30$", two.law.reused_noise_error[1], two.error("reused", 30)),
        row("2", "$c = 1.5$: noisy margin, $s = 0.5$", lawful.noisy_margin[0],
            above.mean(above.margins(0.5), True), number),
        row("2", "$c = 1.5$: its spread between samples", 0, above.spread(0.5, True), number),
        row("3", "$d/n = 3$: error on new noise, $s = 0.5$", None, near.error("fresh", 0.5)),
        row("3", "$d/n = 3$: error on new noise, $s = 30$", None, near.error("fresh", 30)),
        row("3", "$d/n = 10^6$: error on new noise, $s = 30$", None, far.error("fresh", 30)),
        row("3", "$d/n = 3$: error on reused noise, $s = 30$", near.law.reused_noise_error[1],
            near.error("reused", 30)),
        row("3", "$d/n = 10^6$: error on reused noise, $s = 30$", far.law.reused_noise_error[1],
            far.error("reused", 30)),
        row("4", "noisy samples rejected, $s = 0.5$", 1, 1 - four.fitted(0.5, True)),
        row("4", "error on reused noise, $s = 20$", four.law.reused_noise_error[1], four.error("reused", 20)),
        row("5", "noisy samples memorised, $s = 300$", 1, five.fitted(300, True)),
    ]


def dimensions():
    """Lines of the table that says what happens to the law as d/n falls."""
    lines, settings = [], [(3, INIT, "3"), (10, INIT, "10"), (100, INIT, "100"), (10**4, INIT, "$10^4$"),
                           (10**6, INIT, "$10^6$"), (100, 0.3, "100, initial size 0.3")]
    for d_over_n, init, name in settings:
        runs = Runs(2, 0.2, [30], d_over_n, init=init)
        active = runs.mean(runs.record.active[:, 0], True)
        lines.append(line(name, interval(active, share), interval(runs.above_law(30, True), number),
                          interval(runs.spread(30, True), number), interval(runs.error("fresh", 30), share)))
    return lines


def tables():
    """What stands between the marks in the page."""
    first = [line("no.", "what", "law", "mean of ten runs", "lowest to highest"), "|---|---|---|---|---|"]
    second = [line("dimension $d/n$", "filters active on a noisy sample's noise", "its margin above the law",
                   "its spread between samples", "error on new noise"), "|---|---|---|---|---|"]
    between = ["", "What becomes of the law as $d/n$ falls ($c = 2$, $\\tau = 0.2$, noisy samples at $s = 30$):", ""]
    return "\n".join(first + experiments() + between + second + dimensions())


def main():
    before, rest = PAGE.read_text("utf-8").split(MARKS[0])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{tables()}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}", "utf-8")


if __name__ == "__main__":
    main()
