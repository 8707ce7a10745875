"""Images of nuclei whose places are known, and what cameras and programs do to images."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
from scipy import ndimage


def nuclei_image(shape=(256, 256), count=9, radius=10, noise=0.006, seed=2, places=None):
    """Make an image of round nuclei of height 1 on a ground of 0; return it and their centres."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    if places is None:
        at = [range(2 * radius, edge - 2 * radius + 1, int(3.2 * radius)) for edge in shape]
        places = [(row, column) for row in at[0] for column in at[1]]
        random.shuffle(places)
        places = places[:count]
    image = random.normal(0, noise, shape)
    for row, column in places:
        distance = np.hypot(rows - row, columns - column) - radius
        image += 1 / (1 + np.exp(np.clip(distance * 1.5, -50, 50)))
    return image, places


def add_frame(image, width, value):
    """Fill a frame at the rim with a value."""
    framed = np.full_like(image, value)
    inner = (slice(width, -width),) * 2
    framed[inner] = image[inner]
    return framed


def add_lines(image, rows, columns, value, seed=1):
    """Set whole rows and columns to a value."""
    random, lined = np.random.default_rng(seed), image.copy()
    lined[random.choice(image.shape[0], rows, replace=False)] = value
    lined[:, random.choice(image.shape[1], columns, replace=False)] = value
    return lined


def add_hot_pixels(image, share, value, seed=1):
    """Set single pixels to a value."""
    return np.where(np.random.default_rng(seed).random(image.shape) < share, value, image)


def add_stamp(image, value):
    """Burn in a time and a scale bar."""
    drawn = PIL.Image.new("L", image.shape[::-1])
    PIL.ImageDraw.Draw(drawn).text((4, 4), "12:34:56.7", fill=255)
    height, width = image.shape
    mask = np.asarray(drawn) > 127
    mask[height - 12 : height - 8, width - width // 4 : width - 6] = True
    return np.where(mask, value, image)


def add_debris(image, share, height, count=1, blur=0, seed=3):
    """Add round debris that covers a share of the image."""
    random, mask = np.random.default_rng(seed), np.zeros(image.shape)
    radius = np.sqrt(share * image.size / count / np.pi)
    rows, columns = np.indices(image.shape)
    for _ in range(count):
        row, column = (random.integers(radius + 1, edge - radius - 1) for edge in image.shape)
        mask[np.hypot(rows - row, columns - column) < radius] = 1
    return image + height * (ndimage.gaussian_filter(mask, blur) if blur else mask)
