"""Colours of figures on a dark page."""

import numpy as np

# Oklab (Ottosson 2020): linear sRGB to cone responses, their cube roots to lightness and two axes.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def on_dark(colour: str) -> str:
    """The colour on a dark page that does what `colour`, such as "#0072b2", does on a white one.

    The hue stays and the order of lightness is turned round: L' = 0.95 - 0.73 L^3 in Oklab, from
    the ink of the page (0.95) to the page itself (0.22). The cube keeps apart from the page what
    stands out from white by its colour more than by being dark.
    """
    lightness, *axes = _LAB @ np.cbrt(_CONES @ _linear(colour))
    turned = 0.95 - 0.73 * lightness**3
    for share in np.linspace(1.0, 0.0, 21):  # paler, until a screen can show it
        lab = np.array([turned, *(share * each for each in axes)])
        linear = np.linalg.solve(_CONES, np.linalg.solve(_LAB, lab) ** 3)
        if linear.min() > -1e-4 and linear.max() < 1 + 1e-4:
            break
    linear = linear.clip(0.0, 1.0)
    shown = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return "#" + "".join(f"{round(255 * each):02x}" for each in shown)


def _linear(colour: str) -> np.ndarray:
    """Linear sRGB of #rrggbb."""
    shown = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(shown > 0.04045, ((shown + 0.055) / 1.055) ** 2.4, shown / 12.92)
