"""Figures with a name and a description: their layout, captions and files."""

import html
import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lab.errors import StoreError
from lab.experiment import remedies
from lab.plots import canvas
from lab.runs import Runs
from lab.system import at_home
from lab.words import by_layer, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

# JupyterLab does not tell its SVG pictures that its theme is dark (on paper all are bright), and
# cuts off those that are wider than their cell.
IN_JUPYTERLAB = (
    "@media screen { [data-jp-theme-light=false] :is(.lab-front, .jp-RenderedSVG) "
    "{ color-scheme: dark } } .jp-RenderedSVG img { max-width: 100%; height: auto }"
)
STYLE = f"<style>{IN_JUPYTERLAB}</style>"
PNG_DPI = 150
FILM_DPI = 80
FRAME_MS, LAST_FRAME_MS = 600, 5000
COLUMNS = 5
BESIDE_CURVES = 1.25
LETTERS_AN_INCH = 13  # Of a caption: how many letters an inch holds.


@dataclass(frozen=True)
class CaptionedFigure:
    """A figure to save.

    Attributes:
        name: Its file's name, without the ending.
        figure: What is drawn.
        alt: What it shows, in words, for those who do not see it.
    """

    endings: ClassVar[tuple[str, ...]] = (".svg", ".png", ".txt")
    name: str
    figure: "Figure"
    alt: str

    def _ipython_display_(self) -> None:
        """Shows it in a notebook, its words below it.

        JupyterLab drops the alternative text of an image, so the words are in a separate line that
        opens.
        """
        from IPython.display import display

        words = f"<details><summary>In words</summary>{html.escape(self.alt)}</details>{STYLE}"
        display({**as_images(self.figure), "text/plain": self.name}, raw=True)
        display({"text/html": words, "text/plain": self.alt}, raw=True)

    def save(self, folder: str | Path) -> None:
        """Saves it in the formats of `endings`; the text file holds its words.

        Raises:
            InputError: If the folder is an address.
            StoreError: If the folder cannot be written to.
        """
        folder = at_home(folder)
        *drawn, text = (folder / f"{self.name}{end}" for end in self.endings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with canvas.style():
                self._draw(*drawn)
            text.write_text(f"{self.alt}\n", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"Figures cannot be saved in {folder}: {error.strerror}.") from None

    def _draw(self, *files: Path) -> None:
        svg, png = files
        about = {"Title": self.name, "Description": self.alt}
        self.figure.savefig(svg, metadata={**about, "Date": None})
        self.figure.savefig(png, metadata=about, dpi=PNG_DPI)


@dataclass(frozen=True)
class AnimatedFigure(CaptionedFigure):
    """A figure that moves, saved as an animated GIF whose last frame stays longer.

    Attributes:
        epochs: The epochs that its frames show; `figure` shows the last one.
        after: Draws the figure as it is after an epoch.
    """

    endings: ClassVar[tuple[str, ...]] = (".gif", ".txt")
    epochs: Sequence[int]
    after: Callable[[int], "Figure"]

    def _draw(self, *files: Path) -> None:
        (gif,) = files
        first, *others = [self._frame(epoch) for epoch in self.epochs]
        durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
        first.save(gif, save_all=True, append_images=others, duration=durations, loop=0)

    def _frame(self, epoch: int) -> "Image":
        from PIL import Image

        return Image.open(io.BytesIO(canvas.png(self.after(epoch), FILM_DPI))).convert("RGB")


def as_images(figure: "Figure") -> dict[str, Any]:
    """Returns a figure as a notebook keeps it: SVG, which follows the theme, and PNG.

    Every notebook shows the PNG, trusted or not.
    """
    return {"image/svg+xml": canvas.svg_file(figure), "image/png": canvas.png(figure)}


def panel_grid(
    panels: int, columns: int, size: tuple[float, float], share: bool = False
) -> tuple["Figure", list["Axes"]]:
    """Returns a figure and its axes, row by row; what is left over stays empty."""
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.8))
    axes = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False).ravel()
    for ax in axes[panels:]:
        ax.set_axis_off()
    return figure, list(axes[:panels])


def heads(names: Iterable[str], of_layers: Iterable[str], runs: Runs) -> list[str]:
    """Returns the heads of a table; those with a number for each hidden layer say which these are.

    Args:
        names: The titles of the columns.
        of_layers: Those with a number for each hidden layer.
        runs: The runs, of networks of one depth.
    """
    layers = runs[0].layers
    of = f"layer{'s' * (len(layers) > 1)} {by_layer(layers)}"
    return [f"{name}\n{of}" if name in of_layers else name for name in names]


def draw_table(
    ax: "Axes",
    head: Sequence[str],
    rows: list[list[str]],
    widths: Sequence[float],
    wide: float = BESIDE_CURVES,
) -> None:
    """Draws a table in place of axes, below others with curves.

    Args:
        ax: The axes, which are not shown.
        head: The titles of the columns.
        rows: The rows below.
        widths: The width of each column, as a share of that of the axes.
        wide: The width of the table in widths of the axes: by default as far as the names beside
            the curves above it.
    """
    from matplotlib.transforms import Bbox

    ax.set_axis_off()
    table = ax.table(
        rows,
        colLabels=list(head),
        colWidths=list(widths),
        cellLoc="center",
        bbox=Bbox([(0, 0), (wide, 1)]),
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(canvas.TEXT)


def add_caption(figure: "Figure", runs: Runs, *notes: str) -> None:
    """Writes the caption under a figure: what was run, and how to read the picture."""
    write_caption(figure, " ".join([setting_words(runs), *notes]))


def write_caption(figure: "Figure", text: str) -> None:
    """Writes a text under a figure, as wide as the figure."""
    wide = int(figure.get_figwidth() * LETTERS_AN_INCH)
    figure.supxlabel(textwrap.fill(text, wide), x=0.01, ha="left", fontsize=canvas.CAPTION)


def setting_words(runs: Runs) -> str:
    """Says in words what was run: the data, the network, its training, and the seeds."""
    record, config = runs[0].record, runs[0].config
    rates = sorted({run.config.learning_rate for run in runs})
    return (
        f"{record.dataset}: {record.train_images:,} images to train on, "
        f"{record.validation_images:,} to validate, {record.test_images:,} to test. "
        f"Network {config.size}, {config.initializer}, first bias "
        f"{config.first_bias:g}, {config.optimizer}, learning rate "
        f"{', '.join(f'{rate:g}' for rate in rates)}, batches of {config.batch_size}, "
        f"{', '.join([counted(config.epochs, 'epoch'), *remedies(config), runs.seed_words()])}."
    )
