"""How colours look to others: colour-vision deficiencies simulated, differences and contrasts measured.

The matrices are those of Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
Deficiency" (2009), for complete deficiency, on linear RGB; the difference is CIE76 in CIELAB under D65; the contrast is
WCAG 2's.
"""

import math

DEFICIENCIES = {
    "none": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
Triple = tuple[float, float, float]


def difference(one: str, other: str, deficiency: str) -> float:
    """How far apart two colours look; about 2 is just seen."""
    matrix = DEFICIENCIES[deficiency]
    return math.dist(_lab(_times(matrix, _linear(one))), _lab(_times(matrix, _linear(other))))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21."""
    lights = sorted(_times(XYZ, _linear(each))[1] for each in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _linear(colour: str) -> Triple:
    def one(place: int) -> float:
        value = int(colour[place : place + 2], 16) / 255
        return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)

    return one(1), one(3), one(5)


def _times(matrix: Matrix, vector: Triple) -> Triple:
    def one(row: Triple) -> float:
        return sum(factor * value for factor, value in zip(row, vector, strict=True))

    return one(matrix[0]), one(matrix[1]), one(matrix[2])


def _lab(rgb: Triple) -> Triple:
    def curve(value: float) -> float:
        return value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116

    x, y, z = (curve(max(value, 0) / white) for value, white in zip(_times(XYZ, rgb), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
