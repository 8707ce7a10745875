"""Synthetic films of nuclei that move, divide, fade and die, with the truth."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Kind:
    """A kind of films; lengths in pixels, times in frames."""

    name: str
    edge: int
    count: int
    radius: float
    step: float  # standard deviation of the movement in a frame
    divides: float  # share of nuclei in a frame
    spread: float  # of the logarithm of brightness
    light: float  # photons of a nucleus of mean brightness
    ground: float
    fades: float


KINDS = (
    Kind("crowded", 320, 85, 9.5, 1.8, 0.006, 0.5, 50.0, 40.0, 0.006),
    Kind("dim", 384, 22, 19.0, 1.6, 0.002, 0.7, 14.0, 20.0, 0.012),
)


@dataclass(eq=False)
class Cell:
    """A nucleus as it is rendered."""

    place: np.ndarray
    radius: float
    light: float
    angle: float
    stretch: float
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    mother: int = 0
    age: int = 99  # frames since birth
    rounding: int = 0  # frames to its division, when it has begun to
    dying: int = 0
    faded: int = 0
    fading: float = 1.0


@dataclass(frozen=True, eq=False)
class Film:
    """Frames, their true labels (an id is one nucleus from birth to division), and mothers."""

    name: str
    images: list[np.ndarray]
    truth: list[np.ndarray]
    mothers: dict[int, int]


def make_film(kind: Kind, seed: int, frames: int, burn_in: int = 12) -> Film:
    """Return a film of which the first frames, in which the crowd settles, are dropped."""
    rng = np.random.default_rng([seed, kind.edge])
    cells = {n: _new_cell(kind, rng, rng.random(2) * kind.edge) for n in range(1, kind.count + 1)}
    texture = ndimage.gaussian_filter(rng.normal(size=(2 * kind.edge,) * 2), kind.radius / 6)
    texture /= texture.std()
    images, truth, mothers = [], [], {}
    names = kind.count
    for t in range(-burn_in, frames):
        names = _live(kind, cells, names, mothers, rng)
        _push_apart(cells)
        if t >= 0:
            image, labels = _render(kind, cells, texture, rng)
            images.append(image)
            truth.append(labels)
    return Film(f"{kind.name} {seed}", images, truth, mothers)


def _new_cell(kind: Kind, rng: np.random.Generator, place: np.ndarray) -> Cell:
    light = float(np.exp(rng.normal(0, kind.spread)))
    radius = kind.radius * float(np.exp(rng.normal(0, 0.13)))
    return Cell(place, radius, light, rng.random() * np.pi, 1 + 0.5 * rng.random())


def _live(
    kind: Kind,
    cells: dict[int, Cell],
    names: int,
    mothers: dict[int, int],
    rng: np.random.Generator,
) -> int:
    """Move, divide, fade, kill and add nuclei; return the highest name."""
    for name, cell in list(cells.items()):
        cell.speed = 0.5 * cell.speed + rng.normal(0, kind.step, 2) * 0.8
        cell.place = cell.place + cell.speed
        cell.angle += rng.normal(0, 0.08)
        cell.age += 1
        cell.faded = max(0, cell.faded - 1)
        if not cell.faded and rng.random() < kind.fades:
            cell.faded, cell.fading = int(rng.integers(1, 4)), 0.12 + 0.3 * rng.random()
        if cell.rounding == 1:
            del cells[name]
            for side in (-1, 1):
                names += 1
                cells[names] = _daughter(cell, side, name, rng)
                mothers[names] = name
        elif cell.rounding:
            cell.rounding -= 1
        elif cell.age > 20 and rng.random() < kind.divides:
            cell.rounding = int(rng.integers(2, 5))
        elif not cell.dying and rng.random() < 0.0015:
            cell.dying = 5
        elif cell.dying:
            cell.dying -= 1
            if cell.dying == 1:
                del cells[name]
        if (
            name in cells
            and ((cell.place < -kind.radius) | (cell.place > kind.edge + kind.radius)).any()
        ):
            del cells[name]
    if len(cells) < kind.count and rng.random() < 0.5:
        names += 1
        place = rng.random(2) * kind.edge
        place[rng.integers(2)] = rng.choice([-kind.radius / 2, kind.edge + kind.radius / 2])
        cells[names] = _new_cell(kind, rng, place)
    return names


def _daughter(mother: Cell, side: int, name: int, rng: np.random.Generator) -> Cell:
    axis = np.array([np.sin(mother.angle), np.cos(mother.angle)])
    apart = mother.radius * (0.5 + 0.35 * rng.random())
    light = mother.light * float(np.exp(rng.normal(0, 0.1)))
    return Cell(
        mother.place + side * apart * axis,
        mother.radius * float(np.exp(rng.normal(0, 0.06))),
        light,
        mother.angle + np.pi / 2,
        1.3,
        side * axis * mother.radius * 0.15 + rng.normal(0, 0.3, 2),
        name,
        0,
    )


def _shape(cell: Cell) -> tuple[float, float, float]:
    """Return radius, stretch and brightness of this moment."""
    size, stretch, light = cell.radius, cell.stretch, cell.light
    if cell.rounding:
        size, stretch, light = size * 0.75, 1.9 if cell.rounding == 1 else 1.1, light * 2.0
    if cell.age < 8:
        size *= 0.6 + 0.05 * cell.age
        light *= 1.8 - 0.1 * cell.age
    if cell.dying:
        size, stretch, light = size * (0.4 + 0.1 * cell.dying), 1.0, light * 2.2
    return size, stretch, light * (cell.fading if cell.faded else 1)


def _push_apart(cells: dict[int, Cell], turns: int = 6) -> None:
    """Move nuclei that overlap apart."""
    crowd = list(cells.values())
    places = np.array([cell.place for cell in crowd])
    radii = np.array([_shape(cell)[0] for cell in crowd])
    need = 0.97 * (radii[:, None] + radii)
    for _ in range(turns):
        way = places[:, None] - places
        far = np.linalg.norm(way, axis=2) + np.eye(len(crowd)) * 1e9
        push = np.clip(need - far, 0, None) / far / 4
        places = places + (way * push[..., None]).sum(1)
    for cell, place in zip(crowd, places, strict=True):
        cell.place = place


def _render(
    kind: Kind, cells: dict[int, Cell], texture: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    edge = kind.edge
    light, labels = np.zeros((edge, edge)), np.zeros((edge, edge), np.int32)
    depth = np.full((edge, edge), np.inf)
    yy, xx = np.mgrid[:edge, :edge].astype(float)
    for name, cell in cells.items():
        size, stretch, brightness = _shape(cell)
        reach = int(2 * size * np.sqrt(stretch)) + 3
        at = np.round(cell.place).astype(int)
        box = tuple(slice(max(0, p - reach), max(0, min(edge, p + reach))) for p in at)
        y, x = yy[box] - cell.place[0], xx[box] - cell.place[1]
        if not y.size:
            continue
        along = y * np.sin(cell.angle) + x * np.cos(cell.angle)
        across = y * np.cos(cell.angle) - x * np.sin(cell.angle)
        far = np.sqrt(along**2 / stretch + across**2 * stretch) / size
        start = (name * 37) % (edge - 1), (name * 91) % (edge - 1)
        own = [
            np.round(w + s).astype(int) % (2 * edge)
            for w, s in zip((along, across), start, strict=True)
        ]
        grain = 1 + 0.18 * texture[own[0], own[1]]
        light[box] += brightness * np.clip((1.12 - far) / 0.24, 0, 1) * np.clip(grain, 0.3, 2)
        nearer = (far < 1) & (far < depth[box])
        labels[box][nearer], depth[box][nearer] = name, far[nearer]
    light = ndimage.gaussian_filter(light, 1.2) + 0.15 * ndimage.gaussian_filter(light, 12)
    gradient = kind.ground * (1 + 0.3 * yy / edge)
    photons = rng.poisson(np.clip(kind.light * light + gradient, 0, None))
    return (100 + 4 * photons + rng.normal(0, 6, photons.shape)).clip(0).astype(np.uint16), labels
