"""Run times: how long each chapter took, on what, and with which versions. Nothing is typed in by hand.

The execution cache knows the build at hand (tools/execution.py writes it down). book/run_times.csv keeps what other
machines measured, a GPU for one, so that a notebook in Colab can say how long it will take there: one row for each
chapter, profile and device. `python tools/status.py` adds those of the cache. MyST-NB's own table of run times knows
neither profile nor device, and only the build at hand.
"""

from pathlib import Path

import execution
import numbering
import pandas as pd
from execution import COLUMNS, RUN_TIMES, run_times

KEY = ["chapter", "profile", "device"]


def measured(root=execution.ROOT):
    """Table (COLUMNS) of the notebooks that the execution cache holds, in the book's order."""
    records = {path.stem: execution.cached(path, root) for path in execution.notebooks(root)}
    rows = [{"chapter": name, "seconds": round(record.data["execution_seconds"], 1)} | record.data["made_by"]
            for name, record in records.items() if record is not None and "made_by" in record.data]
    return pd.DataFrame(rows, columns=COLUMNS)


def together(root=execution.ROOT):
    """The cache's rows, and those of other devices and profiles from the file, of chapters that are still there."""
    tables = [table for table in (run_times(root), measured(root)) if len(table)]
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    there = [path.stem for path in execution.notebooks(root)]
    table = pd.concat(tables).drop_duplicates(KEY, keep="last")
    return table[table.chapter.isin(there)].sort_values(KEY, key=lambda column: (
        column.map(there.index) if column.name == "chapter" else column)).reset_index(drop=True)


def words(root=execution.ROOT):
    """{chapter: {profile: "about 40 s on AMD EPYC, 2 threads"}}: for each profile the shortest time known."""
    found = {}
    for row in together(root).sort_values("seconds", ascending=False).itertuples():
        time = f"{row.seconds:.0f} s" if row.seconds < 100 else f"{row.seconds / 60:.0f} min"
        found.setdefault(row.chapter, {})[row.profile] = f"about {time}, as on {row.device}, threads: {row.threads}"
    return found


def page(root=execution.ROOT):
    """What the status page shows, in Markdown: this build's run times, then those kept from elsewhere."""
    now, titles = measured(root), {Path(page).name: each.title for page, each in numbering.targets(root).items()}
    before = together(root).loc[lambda rows: ~rows.set_index(KEY).index.isin(now.set_index(KEY).index)]
    parts = [f"Together {now.seconds.sum() / 60:.0f} minutes. " if len(now) else "", _readable(now, titles)]
    if len(before):
        parts += ["\n\nMeasured earlier, elsewhere:\n\n", _readable(before, titles)]
    return "\n\n".join(part for part in parts if part)


def _readable(table, titles):
    """The table with links, and without what is the same in each row: that is said once, in a sentence before it."""
    if table.empty:
        return "Nothing has been timed here."
    deeper = {path.stem for path in Path(execution.ROOT, "book", "deeper").glob("*.md")}
    links = [f"[{titles.get(name, name)}]({'deeper' if name in deeper else '../nbs'}/{name}.md)" if name[:1].isdigit()
             else titles.get(name, name) for name in table.chapter]
    common = [name for name in COLUMNS[2:] if table[name].nunique() == 1]
    said = f"All: {', '.join(f'{name} {table[name].iloc[0]}' for name in common)}.\n\n" if common else ""
    shown = table.assign(chapter=links, seconds=table.seconds.round().astype(int)).drop(columns=common).astype(str)
    return said + shown.to_markdown(index=False, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    together().to_csv(execution.ROOT / RUN_TIMES, index=False)
    print(measured().to_string(index=False))
