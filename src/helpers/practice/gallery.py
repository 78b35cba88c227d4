"""The top suspects as one HTML file to look through, in which decisions are taken and saved."""

import base64
import io
import math
from html import escape
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int64
from PIL import Image, ImageOps

from helpers import checks
from helpers.data.image_reading import opaque_image
from helpers.data.images import LabelledData, LabelledImages, class_index
from helpers.entry import entry
from helpers.files import write_atomically
from helpers.practice.fingerprint import fingerprint
from helpers.practice.gallery_page import PAGE, SCRIPT, STYLE
from helpers.practice.matching import class_positions, matched_samples

NOT_EVIDENCE = ("sample", "file", "observed", "suggested", "score")
SHOWN = 8  # features of a row
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@entry
def write_gallery(table: pd.DataFrame, data: LabelledData, path: str | PathLike, *, top: int = 100, side: int = 96,
                  source: str | PathLike | None = None) -> Path:
    """One HTML file with the top suspects: picture, file, observed and suggested label, score and evidence.

    The page needs no network and no other file, and can be used by keyboard. On each card the label can be kept, the
    sample dropped, or relabelled, as suggested or to any class; a button saves the decisions as decisions.csv, which
    `read_decisions` reads. The file is complete or not written at all.

    Parameters
    ----------
    table
        of suspects, the most suspect first (`suspects`, `find_suspects`). Columns beside sample, file, observed,
        suggested and score are shown as evidence.
    data
        what the table was made of; `matched_samples` says what is checked. For rows of features a card shows those
        that lie farthest from the mean of the observed class, with the means of both classes.
    path
        the file to write. One that is there is replaced.
    top
        how many rows of the table, at most.
    side
        pixels of a picture on the page.
    source
        the folder that `data` was loaded from: pictures are then its files, whole, and not what the network sees,
        which was cut and scaled down.

    Returns
    -------
    Path
        That of the file.

    Raises
    ------
    ValueError
        If the table has no row or was made of other data, or a file of `source` is missing or no image.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from helpers.data import load_digits
    >>> from helpers.practice import write_gallery
    >>> table = pd.DataFrame({"sample": [3], "observed": ["even"], "suggested": ["odd"], "score": [0.9]})
    >>> data = load_digits(n_train=20)
    >>> table["observed"] = [data.classes[int(data.y_obs[3] > 0)]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_gallery(table, data, f"{folder}/suspects.html").name)
    suspects.html
    """
    path, side = checks.path("path", path), checks.integer("side", side, 8, 1024)
    checks.require(not path.is_dir(), "path", str(path), "a file; there is a folder")
    samples = matched_samples(table, data, columns=("suggested", "score"))
    table, samples = table[:checks.integer("top", top)], samples[:top]
    checks.require(len(table) > 0, "table", "<no row>", "a table with a suspect at least")
    suggested = class_positions("table['suggested']", table["suggested"], data)
    if source is not None:
        source = checks.path("source", source)
        checks.require(data.files is not None and isinstance(data, LabelledImages), "source", str(source),
                       "None where the data are no images with names of files")
    cards = [_card(rank, row, data, int(i), int(k), side, source)
             for rank, ((_, row), i, k) in enumerate(zip(table.iterrows(), samples, suggested), 1)]
    page = PAGE.format(title=escape(f"Suspect labels: {data.name}"), style=STYLE, script=SCRIPT, count=len(cards),
                       fingerprint=fingerprint(data), classes=_options(data), cards="\n".join(cards))
    write_atomically(path, page.encode("utf-8", "xmlcharrefreplace"))
    return path


def _options(data: LabelledData) -> str:
    return "".join(f'<option value="{k}" data-label="{escape(str(name))}">{escape(str(name))}</option>'
                   for k, name in enumerate(data.classes))


def _card(rank: int, row: pd.Series, data: LabelledData, i: int, k: int, side: int, source: Path | None) -> str:
    """The sample i with the suggested class k."""
    observed, suggested = (str(data.classes[j]) for j in (class_index(data.y_obs[i], data.n_classes), k))
    file = "" if data.files is None else data.files[i]
    name = escape(file or f"sample {i}")
    is_image = isinstance(data, LabelledImages)
    seen = _picture(data, i, side, source, f"{name}, observed as {escape(observed)}") if is_image else _rows(data, i, k)
    facts = {"score": row["score"]} | {key: value for key, value in row.items() if key not in NOT_EVIDENCE}
    facts = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(_short(value))}</dd>" for key, value in facts.items())
    kept = {"file": file, "observed": observed, "suggested": suggested}
    kept = "".join(f' data-{key}="{escape(value)}"' for key, value in kept.items())
    told = (f'<div><h2 id="n{rank}">{rank}. {name}</h2>\n<p>observed <b>{escape(observed)}</b> → suggested '
            f"<b>{escape(suggested)}</b></p>\n<dl>{facts}</dl></div>")
    return (f'<article class="card{"" if is_image else " wide"}" tabindex="0" aria-labelledby="n{rank}" '
            f'data-sample="{i}"{kept}>\n' + "\n".join([seen, told] if is_image else [told, seen])
            + f"\n{_choices(rank, name, observed, suggested)}\n</article>")


def _choices(rank: int, name: str, observed: str, suggested: str) -> str:
    choices = {"keep": f"keep {observed}", "drop": "drop", "suggested": f"relabel: {suggested}", "other": "another:"}
    if observed == suggested:
        del choices["suggested"]
    buttons = "".join(f'<label><input type="radio" name="c{rank}" value="{value}">{escape(text)}</label>'
                      for value, text in choices.items())
    return (f'<fieldset><legend>Decision on {name}</legend>{buttons}<select aria-label="another class for {name}">'
            '<option value="">choose a class</option></select></fieldset>')


def _short(value: object) -> str:
    """A number with three digits, or text."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}" if math.isfinite(value) else "not measured"
    return str(value)


def _picture(data: LabelledImages, i: int, side: int, source: Path | None, alt: str) -> str:
    image = _from_pixels(data.x[i]) if source is None else _from_file(source / data.files[i])
    image.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)  # twice as fine, for screens that are
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    kind = ' class="pixels"' if max(image.size) < side else ""
    return (f'<img{kind} width="{side}" height="{side}" alt="{alt}" '
            f'src="data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}">')


def _from_pixels(x: Float32[np.ndarray, "channels height width"]) -> Image.Image:
    """One channel as grey, three as colours; of any other number the mean."""
    pixels = np.rint(255 * (x if len(x) in (1, 3) else x.mean(0, keepdims=True))).astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2))


def _from_file(file: Path) -> Image.Image:
    checks.require(file.is_file(), "source", str(file), "the folder of the data, with this image in it")
    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # `convert` would clip these at 255
                upright = Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
            return opaque_image(upright).convert("RGB")
    except UNREADABLE as error:
        raise ValueError(f"source={str(file)!r}: must be an image that can be read, but {type(error).__name__}: {error}"
                         ) from error


def _rows(data: LabelledData, i: int, k: int) -> str:
    """The features of sample i that lie farthest from the mean of its observed class, and the means of both classes."""
    index = class_index(data.y_obs, data.n_classes)
    names = [str(data.classes[j]) for j in (index[i], k)]
    means = [data.x[index == j].mean(0) if (index == j).any() else np.full(data.x.shape[1], np.nan)
             for j in (index[i], k)]
    chosen = _farthest(data.x, data.x[i], means[0])
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("feature", "value", *(f"mean of {name}" for name
                                                                                             in names)))
    body = "".join("<tr>" + f'<th scope="row">{j + 1}</th>' + "".join(
        f"<td>{escape(_short(column[j]))}</td>" for column in (data.x[i], *means)) + "</tr>" for j in chosen)
    more = data.x.shape[1] - len(chosen)
    return (f'<div class="rows" tabindex="0" role="group" aria-label="features"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>{f'and {more} more features' if more else ''}</div>")


def _farthest(x: Float32[np.ndarray, "n p"], one: Float32[np.ndarray, " p"], mean: Float32[np.ndarray, " p"]
              ) -> Int64[np.ndarray, " shown"]:
    spread = x.std(0)
    distance = np.abs(one - mean) / np.where(spread > 0, spread, np.inf)
    return np.argsort(-distance, kind="stable")[:SHOWN]
