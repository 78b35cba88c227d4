"""The instructor's page: its tables are those of the sources, and each row that is not says what to write."""

import re

import execution
import myst
import pytest

PAGE = execution.ROOT / "book" / "teaching.md"
CHAPTERS = execution.chapters()
WORDS_A_MINUTE = 100  # as the page says
GOAL = re.compile(r"\*\*([a-z])\*\*")
QUARTERS = {"": 0, "¼": 0.25, "½": 0.5, "¾": 0.75}


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[1]


def chapter_rows():
    """{chapter: (its goals' letters, hours of reading)}."""
    row = r"^\| \{doc\}`\.\./nbs/(\w+)` \| (.+) \| (\d*)([¼½¾]?) h \| [a-z]+ \|$"
    rows = re.findall(row, section("Goals and times"), re.MULTILINE)
    return {stem: (GOAL.findall(goals), float(hours or 0) + QUARTERS[part]) for stem, goals, hours, part in rows}


def exercise_rows():
    """[(label, title, stars, chapter number and goal's letter)] in the page's order."""
    return re.findall(r"^\| \{ref\}`([\w-]+)` (.+) \| (\S+) \| (\d+[a-z]) \|$", section("The exercises"), re.MULTILINE)


def test_every_chapter_has_a_row_with_goals():
    rows = chapter_rows()
    assert list(rows) == [path.stem for path in CHAPTERS], "Goals and times: one row per chapter, in the book's order"
    for stem, (goals, _) in rows.items():
        assert "abc".startswith("".join(goals)) and len(goals) > 1, f"{stem}: two or three goals, **a**, **b**, **c**"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_reading_time_is_that_of_the_chapter(path):
    hours = len(path.read_text("utf-8").split()) / WORDS_A_MINUTE / 60
    said = chapter_rows()[path.stem][1]
    assert abs(said - hours) <= 0.25, f"{path.stem}: book/teaching.md says {said} h, its words take {hours:.2f} h"


def test_every_exercise_has_one_row_with_its_title_and_stars():
    wanted = [f"| {{ref}}`{one.label}` {one.title} | {one.stars * myst.STAR} |" for path in CHAPTERS
              for one in myst.exercises(path.read_text("utf-8"))]
    found = [f"| {{ref}}`{label}` {title} | {stars} |" for label, title, stars, _ in exercise_rows()]
    missing = [row for row in wanted if row not in found]
    assert not missing, "write these rows, and the goal that each tests, into book/teaching.md:\n" + "\n".join(missing)
    assert found == wanted, f"rows twice, out of order or of no exercise: {[row for row in found if row not in wanted]}"


def test_every_exercise_tests_a_goal_of_its_chapter_and_every_goal_is_tested():
    goals = {f"{int(stem[:2])}{letter}" for stem, (letters, _) in chapter_rows().items() for letter in letters}
    home = {one.label: int(path.stem[:2]) for path in CHAPTERS for one in myst.exercises(path.read_text("utf-8"))}
    tested = {label: goal for label, _, _, goal in exercise_rows()}
    strange = {label: goal for label, goal in tested.items() if goal not in goals or int(goal[:-1]) != home[label]}
    assert not strange, f"exercises that test no goal of their chapter: {strange}"
    assert goals == set(tested.values()), f"goals that no exercise tests: {sorted(goals - set(tested.values()))}"


def test_the_plans_name_exercises_that_exist():
    labels = {one.label for path in CHAPTERS for one in myst.exercises(path.read_text("utf-8"))}
    assert set(re.findall(r"\{ref\}`(ex-[\w-]+)`", PAGE.read_text("utf-8"))) == labels
