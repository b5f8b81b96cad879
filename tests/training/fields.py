"""Synthetic fields of a fluorescence microscope: cell nuclei drawn with NumPy, as the camera would see them, and masks.

A field is drawn from the nuclei's shapes to the camera's noise: deformed ellipses, single and touching, some small and
very bright as in division; light of nuclei out of focus, which the mask leaves out; specks of debris; the blur and the
halo of the optics; uneven illumination; photon and read-out noise. How much of each there is is drawn anew for every
field, so that fields differ more from each other than nuclei within one. Lengths are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIELD_PIXELS = 256
MARGIN_PIXELS = 32
"""Drawn around a field and cut off: nuclei cross its edges, and what the blur wraps around stays outside."""

MEAN_RADIUS_PIXELS = (5.0, 18.0)
LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8
EMPTY_FIELDS = 0.03
PLACING_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Nucleus:
    """A deformed ellipse within `window` of the field.

    `rho`, `[height, width]` of the window, is a pixel's distance to the centre over the outline's on the same ray.
    """

    window: tuple[slice, slice]
    rho: np.ndarray
    radius: float

    @property
    def coverage(self) -> np.ndarray:
        """How much of each pixel is inside, 0 to 1: the outline is about a pixel soft."""
        return np.clip((1 - self.rho) * self.radius + 0.5, 0, 1)


def normalise(image: np.ndarray, low: float = LOW_PERCENTILE, high: float = HIGH_PERCENTILE) -> np.ndarray:
    """Map an image's low and high percentile to 0 and 1; float32, what is beyond them is kept.

    This is the step that comes before the network, for real images too.
    """
    darkest, brightest = np.percentile(image, [low, high])
    return ((image - darkest) / max(brightest - darkest, 1e-6)).astype(np.float32)


def draw_field(rng: np.random.Generator, pixels: int = FIELD_PIXELS) -> tuple[np.ndarray, np.ndarray]:
    """Draw one field: the normalised image `[pixels, pixels] float32` and its mask `[pixels, pixels] bool`."""
    side = pixels + 2 * MARGIN_PIXELS
    radius = float(np.exp(rng.uniform(*np.log(MEAN_RADIUS_PIXELS))))
    nuclei = [] if rng.random() < EMPTY_FIELDS else place_nuclei(rng, side, radius)
    light, mask = draw_nuclei(rng, nuclei, side)
    if rng.random() < 0.5:
        light += draw_out_of_focus(rng, side, radius)
    if rng.random() < 0.4:
        light += draw_debris(rng, side)
    light = optics(rng, light, radius)
    image = camera(rng, light * illumination(rng, side))
    inner = slice(MARGIN_PIXELS, MARGIN_PIXELS + pixels)
    # The percentiles vary: a stream may have to estimate them from a part of its image.
    low, high = rng.uniform(0.2, 4), rng.uniform(98, 99.95)
    return normalise(image[inner, inner], low, high), mask[inner, inner]


def place_nuclei(rng: np.random.Generator, side: int, mean_radius: float) -> list[Nucleus]:
    """Scatter nuclei over `[side, side]` until they cover a share of it; some fields have them in touching groups."""
    share = rng.uniform(0.02, 0.45)
    touching = rng.uniform(0, 0.8)
    elongation = rng.uniform(1.0, 1.8)
    variation = rng.uniform(0.05, 0.3)
    taken = np.zeros((side, side), bool)
    nuclei: list[Nucleus] = []
    centres: list[tuple[float, float, float]] = []
    for _ in range(int(share * side**2 / (np.pi * mean_radius**2)) + 1):
        radius = mean_radius * float(np.exp(rng.normal(0, variation)))
        for _ in range(PLACING_ATTEMPTS):
            if centres and rng.random() < touching:
                y, x, other = centres[rng.integers(len(centres))]
                distance, angle = (radius + other) * rng.uniform(0.75, 1.2), rng.uniform(0, 2 * np.pi)
                y, x = y + distance * np.sin(angle), x + distance * np.cos(angle)
            else:
                y, x = rng.uniform(0, side, 2)
            if 0 <= y < side and 0 <= x < side and not taken[int(y), int(x)]:
                nucleus = shape_nucleus(rng, (y, x), radius, elongation * np.exp(rng.normal(0, 0.15)), side)
                taken[nucleus.window] |= nucleus.rho < 1
                nuclei.append(nucleus)
                centres.append((y, x, radius))
                break
    return nuclei


def shape_nucleus(
    rng: np.random.Generator, centre: tuple[float, float], radius: float, elongation: float, side: int
) -> Nucleus:
    """Shape one ellipse of the area of a circle of `radius`, turned and dented by waves along its outline."""
    long = radius * np.sqrt(max(elongation, 1.0))
    reach = int(1.3 * long) + 2
    rows, columns = (
        np.arange(max(int(middle) - reach, 0), min(int(middle) + reach + 1, side), dtype=np.float64)
        for middle in centre
    )
    dy, dx = rows[:, None] - centre[0], columns[None, :] - centre[1]
    turn = rng.uniform(0, np.pi)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    u, v = along / long, across * long / radius**2
    angle = np.arctan2(v, u)
    outline = np.ones_like(angle)
    dents = rng.uniform(0, 0.12)
    for wave in (2, 3, 4):
        outline += dents / wave * rng.normal() * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return Nucleus(window, np.hypot(u, v) / np.maximum(outline, 0.5), radius)


def draw_nuclei(rng: np.random.Generator, nuclei: list[Nucleus], side: int) -> tuple[np.ndarray, np.ndarray]:
    """The nuclei's light, 1 for a typical one, and their mask, both `[side, side]`; overlapping light adds up."""
    light, mask = np.zeros((side, side)), np.zeros((side, side), bool)
    spread = rng.uniform(0.05, 0.5)
    dome = rng.uniform(0, 0.7)
    dividing = rng.uniform(0, 0.12) if rng.random() < 0.6 else 0.0
    texture = 1 + rng.uniform(0, 0.5) * speckle(rng, side, rng.uniform(1, 4))
    for nucleus in nuclei:
        brightness = np.exp(rng.normal(0, spread))
        rho, coverage = nucleus.rho, nucleus.coverage
        if rng.random() < dividing:  # condensed: smaller and much brighter
            smaller = rng.uniform(0.5, 0.9)
            brightness *= rng.uniform(1.5, 5)
            rho = rho / smaller
            coverage = Nucleus(nucleus.window, rho, nucleus.radius * smaller).coverage
        light[nucleus.window] += brightness * coverage * (1 - dome * np.minimum(rho, 1) ** 2)
        mask[nucleus.window] |= coverage > 0.5
    return light * np.maximum(texture, 0.2), mask


def draw_out_of_focus(rng: np.random.Generator, side: int, radius: float) -> np.ndarray:
    """Light of nuclei far above or below the focus: too smooth to be taken for one in focus."""
    light = np.zeros((side, side))
    for _ in range(rng.integers(1, 12)):
        y, x = rng.integers(0, side, 2)
        light[y, x] += rng.uniform(0.3, 1.0) * np.pi * radius**2
    return rng.uniform(0.2, 0.8) * blur(light, radius * rng.uniform(1.2, 2.5))


def draw_debris(rng: np.random.Generator, side: int) -> np.ndarray:
    """Bright specks of a pixel or two, far smaller than any nucleus."""
    light = np.zeros((side, side))
    for _ in range(rng.integers(1, 40)):
        y, x = rng.integers(0, side, 2)
        light[y, x] += np.exp(rng.normal(1.5, 0.7))
    return blur(light, rng.uniform(0.5, 1.0))


def optics(rng: np.random.Generator, light: np.ndarray, radius: float) -> np.ndarray:
    """Blur by the lens, and add the wide halo that a widefield microscope puts around what is bright."""
    sharp = blur(light, min(rng.uniform(0.5, 2.5), radius / 4))
    halo = rng.uniform(0, 0.35)
    return (1 - halo) * sharp + halo * blur(light, rng.uniform(4, 15))


def illumination(rng: np.random.Generator, side: int) -> np.ndarray:
    """Gain over the field `[side, side]`, about 1: a slope and a darker rim."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    slope, angle, rim = rng.uniform(0, 0.3), rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3)
    return 1 + slope * (y * np.sin(angle) + x * np.cos(angle)) - rim * (y**2 + x**2) / 2


def camera(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Count photons over a dark background, with read-out noise; some cameras smear neighbouring pixels together."""
    background = np.exp(rng.uniform(np.log(0.02), np.log(1.5)))
    background = background * (1 + rng.uniform(0, 0.15) * speckle(rng, len(light), rng.uniform(10, 40)))
    photons = np.exp(rng.uniform(np.log(12), np.log(800)))
    image = rng.poisson(photons * np.maximum(light + background, 0)) / photons
    image = image + rng.normal(0, rng.uniform(0, 0.08), light.shape)
    return blur(image, rng.uniform(0.4, 0.9)) if rng.random() < 0.3 else image


def speckle(rng: np.random.Generator, side: int, scale: float) -> np.ndarray:
    """Smooth noise `[side, side]` of mean 0 and variance 1, its spots about `scale` pixels wide."""
    noise = blur(rng.normal(size=(side, side)), scale)
    return (noise - noise.mean()) / (noise.std() + 1e-9)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a square image, as a product of spectra; wraps around at the edges."""
    side = len(image)
    rows = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(side)) ** 2)
    columns = np.exp(-2 * (np.pi * sigma * np.fft.rfftfreq(side)) ** 2)
    return np.fft.irfft2(np.fft.rfft2(image) * rows[:, None] * columns[None, :], s=image.shape)
