"""The figure of docs/warps.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

from steadfit.data import Warp, map_covariance, map_points, sample
from steadfit.data.drawn.synthetic import PAIRS, draw_faces
from steadfit.data.images.frame import frame_map
from steadfit.data.images.maps import frame_matrix
from steadfit.reports.palette import RIGHT, WRONG
from steadfit.reports.style import house_style, new_figure

IMAGES = Path(__file__).parent / "images"
SOURCE, FRAME, FACE = 320, (224, 224), 3
# numbers in [0, 1) for mirror, rotation, scale, anisotropy, perspective x and y, shift x and y; 1/2 is nothing
ONE_EACH = {
    "stored image, in its frame": {},
    "mirror": {0: 0.0},
    "rotation, +30 degrees": {1: 1.0},
    "scale, 1.2": {2: 1.0},
    "anisotropy, 1.2": {3: 1.0},
    "perspective, 0.3 and 0.3": {4: 1.0, 5: 1.0},
    "shift, 5 % and -5 %": {6: 1.0, 7: 0.0},
}


@house_style()
def warps() -> Figure:
    """Every ingredient alone at its greatest, and three warps as training draws them."""
    images, points = draw_faces(FACE + 1, size=SOURCE, seed=1)
    scale, shift = frame_map(np.full((1, 2), float(SOURCE)), None, FRAME)
    to_frame = frame_matrix(torch.from_numpy(scale[0]), torch.from_numpy(shift[0]))
    uniform = np.full((len(ONE_EACH), 8), 0.5)
    for row, changes in enumerate(ONE_EACH.values()):
        uniform[row, list(changes)] = list(changes.values())
    drawn, mirrored = Warp().sample(torch.arange(1, 4), FRAME, seed=0, epoch=0)
    fixed, swapped = Warp().of_uniform(uniform, FRAME)
    figure = new_figure(10.5, 4.6)
    panels = figure.subplots(2, 5).ravel()
    titles = [*ONE_EACH, *["all, drawn at random"] * 3]
    rows = zip(panels, titles, torch.cat((fixed, drawn)), torch.cat((swapped, mirrored)), strict=True)
    for axes, title, warp, flipped in rows:
        _panel(axes, title, images[FACE], torch.from_numpy(points[FACE]), warp @ to_frame, bool(flipped))
    return figure


def _panel(axes: Axes, title: str, image: np.ndarray, points: Tensor, matrix: Tensor, flipped: bool) -> None:
    frame = sample([image], matrix[None], FRAME, 3)[0].permute(1, 2, 0).numpy()
    covariance = torch.tensor([[90.0, 40.0], [40.0, 40.0]], dtype=torch.float64).expand(len(points), 2, 2)
    where, spread = map_points(matrix, points), map_covariance(matrix, points, covariance)
    axes.imshow(frame)
    left = {first for first, _ in PAIRS}
    for k, (point, sigma) in enumerate(zip(where.numpy(), spread.numpy(), strict=True)):
        partner = dict([*PAIRS, *[pair[::-1] for pair in PAIRS]]).get(k, k)
        name = partner if flipped else k
        length, direction = np.linalg.eigh(sigma)
        angle = np.degrees(np.arctan2(direction[1, 1], direction[0, 1]))
        colour = WRONG if name in left else RIGHT
        axes.add_patch(Ellipse(point, *(2 * np.sqrt(length[::-1])), angle=angle, fill=False, color=colour, lw=1.3))
        axes.plot(*point, ".", color=colour, ms=3)
    axes.set_title(title, fontsize=9, fontweight="normal")
    axes.set(xlim=(-0.5, FRAME[1] - 0.5), ylim=(FRAME[0] - 0.5, -0.5), xticks=[], yticks=[])
    axes.grid(visible=False)
