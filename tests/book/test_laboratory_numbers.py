"""What the laboratory page says that runs have given, and the law: computed anew, compared with its text."""

import re

import laboratory_numbers
import numpy as np

from helpers import limit_law

NUMBER = re.compile(r"\d+\.\d+%?(?: ± \d+\.\d+%?)?")


def test_the_tables_are_those_of_ten_runs():
    text, tables = laboratory_numbers.PAGE.read_text("utf-8"), laboratory_numbers.tables()
    assert tables in text, f"run tools/laboratory_numbers.py, then read the answers again:\n{tables}"


def test_every_number_in_the_answers_is_of_the_tables_or_of_the_law():
    text = laboratory_numbers.PAGE.read_text("utf-8")
    times, strong = np.geomspace(0.01, 10, 400), limit_law(8, 0.1, [1.0])
    lawful = {f"{strong.memorisation_time:.2f}", f"{strong.kappa:.2f}", f"{1 / (1 - 2 * 0.1):.2f}",
              f"{-limit_law(1.5, 0.1, times).noisy_margin.min():.2f}", f"{2 * (1 - 4 * 0.2):.1f}", f"{0.4 / 2:.1f}",
              f"{limit_law(20, 0.4, [1.0]).memorisation_time:.2f}", f"{(1 - 1 / 20) / 2:.3f}"}
    tables = text[slice(*(text.index(mark) for mark in laboratory_numbers.MARKS))]
    known = set(NUMBER.findall(tables)) | set(re.findall(r"\d+\.\d+%?", tables)) | lawful
    answers = re.findall(r":::\{dropdown\} What to see\n(.*?)\n:::", text, re.DOTALL)
    assert len(answers) == 5
    for answer in answers:
        assert set(NUMBER.findall(answer)) <= known, answer
