"""The instructor's page: its tables are those of the sources, and each row that is not says what to write."""

import re

import execution
import myst
import pytest
import yaml
from exercises import exercises
from layers import main_line

PAGE = execution.ROOT / "book" / "teaching.md"
CHAPTERS = execution.chapters()
GOAL = re.compile(r"\*\*([a-z])\*\*")


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[1]


def chapter_rows():
    """{chapter: (its goals' letters, minutes of its main line, minutes of all)}."""
    row = r"^\| \{doc\}`\.\./nbs/(\w+)` \| (.+) \| (\d+) \| (\d+) \| [a-z]+ \|$"
    return {stem: (GOAL.findall(goals), int(main), int(whole))
            for stem, goals, main, whole in re.findall(row, section("Goals and times"), re.MULTILINE)}


def exercise_rows():
    """[(label, title, stars, chapter number and goal's letter)] in the page's order."""
    return re.findall(r"^\| \{ref\}`([\w-]+)` (.+) \| (\S+) \| (\d+[a-z]) \|$", section("The exercises"), re.MULTILINE)


def test_every_chapter_has_a_row_with_goals():
    rows = chapter_rows()
    assert list(rows) == [path.stem for path in CHAPTERS], "Goals and times: one row per chapter, in the book's order"
    for stem, (goals, _, _) in rows.items():
        assert "abc".startswith("".join(goals)) and len(goals) > 1, f"{stem}: two or three goals, **a**, **b**, **c**"


def fives(minutes):
    """Rounded to five minutes."""
    return 5 * round(minutes / 5)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_reading_times_are_counted(path):
    line = main_line(path.read_text("utf-8"))
    counted = fives(line.minutes), fives(line.minutes + line.minutes_of_folds)
    said = chapter_rows()[path.stem][1:]
    assert said == counted, f"{path.stem}: book/teaching.md says {said} minutes, its text takes {counted}"


def test_the_short_path_takes_less_than_four_hours():
    path = re.findall(r"\{doc\}`\.\./nbs/(\w+)`", section("The short path"))
    assert len(path) == 8 and sum(chapter_rows()[stem][1] for stem in path) < 240


def test_every_exercise_has_one_row_with_its_title_and_stars():
    wanted = [f"| {{ref}}`{one.label}` {one.title} | {one.stars * myst.STAR} |" for path in CHAPTERS
              for one in exercises(path.read_text("utf-8"))]
    found = [f"| {{ref}}`{label}` {title} | {stars} |" for label, title, stars, _ in exercise_rows()]
    missing = [row for row in wanted if row not in found]
    assert not missing, "write these rows, and the goal that each tests, into book/teaching.md:\n" + "\n".join(missing)
    assert found == wanted, f"rows twice, out of order or of no exercise: {[row for row in found if row not in wanted]}"


def test_every_exercise_tests_a_goal_of_its_chapter_and_every_goal_is_tested():
    goals = {f"{int(stem[:2])}{letter}" for stem, (letters, _, _) in chapter_rows().items() for letter in letters}
    home = {one.label: int(path.stem[:2]) for path in CHAPTERS for one in exercises(path.read_text("utf-8"))}
    tested = {label: goal for label, _, _, goal in exercise_rows()}
    strange = {label: goal for label, goal in tested.items() if goal not in goals or int(goal[:-1]) != home[label]}
    assert not strange, f"exercises that test no goal of their chapter: {strange}"
    assert goals == set(tested.values()), f"goals that no exercise tests: {sorted(goals - set(tested.values()))}"


def test_the_plans_name_exercises_that_exist():
    labels = {one.label for path in CHAPTERS for one in exercises(path.read_text("utf-8"))}
    assert set(re.findall(r"\{ref\}`(ex-[\w-]+)`", PAGE.read_text("utf-8"))) == labels


def test_each_part_has_three_graded_tasks_that_test_goals_of_its_chapters():
    """Tasks without a published solution: the page says how many, for each numbered part of the table of contents."""
    tasks = re.findall(r"^\| (.+?) \| .+ \| (\d+)([a-z]) \|$", section("Graded work"), re.MULTILINE)
    parts = {part["caption"]: {int(chapter["file"][4:6]) for chapter in part["chapters"]}
             for part in yaml.safe_load((execution.ROOT / "_toc.yml").read_text("utf-8"))["parts"]
             if part.get("numbered")}
    assert [part for part, _, _ in tasks] == [part for part in parts for _ in range(3)]
    for part, chapter, letter in tasks:
        stem = next(path.stem for path in CHAPTERS if path.stem.startswith(f"{int(chapter):02d}_"))
        assert int(chapter) in parts[part] and letter in chapter_rows()[stem][0], (part, chapter, letter)
