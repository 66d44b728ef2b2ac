# SPDX-License-Identifier: Apache-2.0
"""From amounts of dye to a picture: stain of the slide, light, focus, camera."""

from dataclasses import dataclass

import cv2
import numpy as np

# Optical density (natural logarithm) of one unit of each dye in blue, green, red, read off the
# colour that a well stained thing has: OD = -ln(colour / 255).
_COLOURS_BGR = np.array(
    [
        [122, 58, 66],  # hematoxylin: dark blue-violet
        [182, 176, 96],  # light green (EA): blue-green
        [186, 138, 240],  # eosin: pink
        [62, 152, 244],  # orange G
    ],
    np.float32,
)
STAIN_DENSITY = -np.log(_COLOURS_BGR / 255)


@dataclass
class Optics:
    """How one slide was stained and photographed.

    Attributes:
        density: Optical density of one unit of each dye, (NUM_STAINS, 3), BGR.
        light: Colour of the empty slide, (3, ), 0 to 255.
        blur: Standard deviation of the focus blur, pixels.
        vignette: Loss of light in the corners, 0 to 1.
        tilt: Unevenness of the light across the field, (x, y), each -1 to 1.
        noise: Standard deviation of the sensor's noise, grey levels.
    """

    density: np.ndarray
    light: np.ndarray
    blur: float
    vignette: float
    tilt: tuple[float, float]
    noise: float

    @classmethod
    def sample(cls, rng: np.random.Generator, pixels_per_um: float, variation: float) -> 'Optics':
        """Draws a slide; ``variation`` 0 is always the same stain and focus, 1 the usual spread."""
        strength = np.exp(rng.normal(0, 0.16 * variation, (4, 1)))
        hue = np.exp(rng.normal(0, 0.11 * variation, (4, 3)))
        whole = np.exp(rng.normal(0, 0.10 * variation))
        light = np.array([244, 244, 243]) - np.abs(rng.normal(0, 5 * variation, 3)) + 1
        defocus = 0.22 + 0.38 * variation * rng.gamma(1.3, 0.45)
        return cls(
            density=(STAIN_DENSITY * strength * hue * whole).astype(np.float32),
            light=light.astype(np.float32),
            blur=float(min(defocus, 1.1) * max(1.0, 0.6 * pixels_per_um)),
            vignette=float(variation * rng.uniform(0, 0.10)),
            tilt=tuple(variation * rng.uniform(-0.04, 0.04, 2)),
            noise=float(1.2 + variation * rng.uniform(0, 1.8)),
        )

    def photograph(self, amount: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Turns amounts of dye (H, W, NUM_STAINS) into a picture, uint8 (H, W, 3), BGR."""
        height, width = amount.shape[:2]
        picture = cv2.exp(-(amount.reshape(-1, amount.shape[2]) @ self.density))
        picture = picture.reshape(height, width, 3)
        if self.blur > 0.3:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur, borderType=cv2.BORDER_REFLECT)
        x = np.linspace(-1, 1, width, dtype=np.float32)[None]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        shade = 1 - self.vignette / 2 * (x * x + y * y) + self.tilt[0] * x + self.tilt[1] * y
        picture *= (shade[..., None] * self.light).astype(np.float32)
        picture += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(self.noise)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
