"""Frames: k vectors that matrices take along, made orthonormal again by Householder's QR.

A frame is stored as the products want their right-hand matrix, in panels (n, H, L): panel p holds
vectors p*L..p*L+L-1 of H entries as columns, the last one padded with zeros. A panel is also what
QR eliminates at a time: block reflectors I - V T V^T (Schreiber and Van Loan 1989) with one panel
of V. Where rows differ much they are sorted by size before QR, which keeps small diagonal entries
of R to full relative precision (Powell and Reid 1969; Cox and Higham 1998): those of
diag(phi') W_hh differ by many orders once units saturate.

After QR the frame is held as its reflectors. A whole frame (k = H) is never formed: the next matrix
is multiplied by the reflectors instead, 2 H^3 operations where forming and multiplying take
10/3 H^3.
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.norms import LN2, exponent_of, times_power_of_two
from rnnsim.kernels.arithmetic.products import (
    Rows,
    add_product,
    empty_panels,
    multiply,
    pack,
    rows_from,
    rows_of,
    summed_outer,
)
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.arithmetic.tiles import no_tile, put_tile
from rnnsim.kernels.arithmetic.vectors import (
    lanes,
    load,
    magnitude,
    multiply_add,
    splat,
    store,
    zeros,
)

# Norms in this range can be squared; others are scaled first.
_LEAST, _GREATEST = 2.0**-50, 2.0**50
_ALIKE = 2.0**-10  # rows within this factor stay in their order: ten bits of 53 (or 24) at most


@by_reference
class FrameWork(NamedTuple):
    """A frame of k vectors in H dimensions and the scratch of its QR; n panels of L lanes.

    frame (n, H, L); image (n, H, L): what a matrix makes of it, then the reflectors V;
    triangles (2, n, L, L): -T and -T^T of each panel; small (2, L, L); row (2, L);
    order (H,) int64 and sizes (H,): rows from the largest to the smallest; held (1,) int64: 1 where
    the frame is held as reflectors. For whole frames: turned (H, n*L), a matrix row by row,
    dots (2, H, L), and flipped (L, n*L), V^T of a panel.
    """

    frame: np.ndarray
    image: np.ndarray
    triangles: np.ndarray
    small: np.ndarray
    row: np.ndarray
    order: np.ndarray
    sizes: np.ndarray
    held: np.ndarray
    turned: np.ndarray
    dots: np.ndarray
    flipped: np.ndarray


@allocator
def frame_work(H, k, like):
    """Scratch for frames of k vectors in H dimensions, in the dtype of `like`."""
    L = lanes(like)
    frame = empty_panels(H, k, like)
    n = frame.shape[0]
    rows = H if k == H else 0
    return FrameWork(
        frame,
        np.zeros_like(frame),
        scratch((2, n, L, L), like),
        scratch((2, L, L), like),
        scratch((2, L), like),
        np.arange(H),
        np.zeros(H, like.dtype),
        np.zeros(1, np.int64),
        scratch((rows, n * L), like),
        scratch((2, rows, L), like),
        scratch((L, n * L), like),
    )


@kernel
def start_from(vectors, work, logs):
    """The orthonormal frame that vectors (H, k) span; logs (k,) as in `orthonormalise`."""
    pack(vectors, 0, work.frame)
    orthonormalise(vectors.shape[1], work, logs)


@kernel
def transform(matrix, k, work):
    """image = matrix frame, for a matrix (H, H)."""
    n, H, L = work.frame.shape
    if work.held[0] and work.turned.size > 0:
        _transform_reflectors(matrix, work)
    else:
        if work.held[0]:
            form(k, work)
        left, image = rows_of(matrix, 0), work.image
        flat = image.reshape(image.size)
        for p in range(n):
            multiply(left, H, 0, H, work.frame[p : p + 1], Rows(flat, p * H * L, L))
    work.held[0] = 0


@kernel
def _transform_reflectors(matrix, work):
    """image = matrix Q of a whole frame: A (I - V T V^T) for one panel after the other."""
    n, H, L = work.frame.shape
    turned, dots, flipped, image = work.turned, work.dots, work.flipped, work.image
    width = turned.shape[1]
    flat_turned = turned.reshape(turned.size)
    for i in range(H):
        for r in range(H):
            turned[i, r] = matrix[i, work.order[r]]
    for j in range(n):
        first = j * L
        # (A V) (-T), then A + that V^T
        rows, products = rows_of(turned, 0), rows_from(dots, 0)
        multiply(rows, H, first, H, image[j : j + 1], products)
        scaled = rows_from(dots, 1)
        multiply(products, H, 0, L, work.triangles[0, j : j + 1], scaled)
        for i in range(first, H):
            for c in range(L):
                flipped[c, i] = image[j, i, c]
        for p in range(j, n):
            add_product(scaled, H, flipped, p * L, width, Rows(flat_turned, p * L, width))
    for p in range(n):
        for i in range(H):
            store(image, (p * H + i) * L, load(turned, i * width + p * L))


@kernel
def scale_rows(slopes, work):
    """frame = diag(slopes) image."""
    n, H, L = work.frame.shape
    for p in range(n):
        for i in range(H):
            at = (p * H + i) * L
            store(work.frame, at, splat(slopes, i) * load(work.image, at))


@kernel
def keep_image(work):
    """frame = image."""
    for at in range(0, work.frame.size, lanes(work.frame)):
        store(work.frame, at, load(work.image, at))


@kernel
def orthonormalise(k, work, logs):
    """QR of the frame, of which Q is kept as reflectors; logs (k,) += ln |R_ii|, -inf where 0."""
    n, H, L = work.frame.shape
    _order_rows(work)
    for p in range(n):
        for r in range(H):
            store(work.image, (p * H + r) * L, load(work.frame, (p * H + work.order[r]) * L))
    for j in range(n):
        count = min(L, k - j * L)
        _factor_panel(j, count, work, logs)
        for p in range(j + 1, n):
            _reflect(j, 1, work.image, p, work)
    work.held[0] = 1


@kernel
def _order_rows(work):
    """order: rows of the frame by descending sum of magnitudes, where these differ much."""
    n, H, L = work.frame.shape
    order, sizes, largest, smallest = work.order, work.sizes, 0.0, np.inf
    for i in range(H):
        total = zeros(work.frame)
        for p in range(n):
            total = total + magnitude(load(work.frame, (p * H + i) * L))
        store(work.row, 0, total)
        size = 0.0
        for c in range(L):
            size += work.row[0, c]
        sizes[i], order[i] = size, i
        largest, smallest = max(largest, size), min(smallest, size)
    if smallest > _ALIKE * largest:
        return
    for i in range(1, H):  # insertion sort
        row, at = order[i], i
        while at > 0 and sizes[order[at - 1]] < sizes[row]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = row


@kernel
def _factor_panel(j, count, work, logs):
    """QR of panel j of the image from row j*L down, one reflector I - t v v^T a column.

    v stays where the column was; what stands above is cleared, as nobody needs R.
    """
    _, H, L = work.image.shape
    image, row = work.image, work.row
    negative, transposed = work.triangles[0, j], work.triangles[1, j]
    fill(negative, 0)
    fill(transposed, 0)
    for c in range(count):
        top = j * L + c
        square, exponent = _square_of_column(image, j, c, top)
        norm, t = math.sqrt(square), 0.0
        logs[top] += math.log(norm) + exponent * LN2 if norm > 0.0 else -np.inf
        if norm != 0.0:
            first = np.float64(image[j, top, c])
            image[j, top, c] = first + math.copysign(norm, first)
            t = 1.0 / (norm * (norm + abs(first)))
        _dots(image, (j * H + top) * L, H - top, c, row)  # row[0] = v^T [all columns]
        for lane in range(L):
            row[1, lane] = -t * row[0, lane] if lane > c else 0
        for at in range((j * H + top) * L, (j + 1) * H * L, L):
            store(image, at, multiply_add(splat(image, at + c), load(row, L), load(image, at)))
        # T[:c, c] = -t T[:c, :c] V^T v and T[c, c] = t, here -T
        for a in range(c):
            total = 0.0
            for b in range(a, c):
                total += negative[a, b] * row[0, b]
            negative[a, c] = transposed[c, a] = -t * total
        negative[c, c] = transposed[c, c] = -t
    for c in range(1, L):
        for i in range(j * L, min(j * L + c, H)):
            image[j, i, c] = 0


@kernel
def _square_of_column(image, j, c, top):
    """The sum of squares of a column from row `top` down, in units of 4^exponent.

    A column that is very small or large is brought to that unit.
    """
    square = 0.0
    for i in range(top, image.shape[1]):
        value = np.float64(image[j, i, c])
        square += value * value
    if _LEAST < square < _GREATEST:
        return square, 0
    peak = 0.0
    for i in range(top, image.shape[1]):
        size = abs(np.float64(image[j, i, c]))
        if size > peak or size != size:
            peak = size
    if not 0.0 < peak < np.inf:
        return peak, 0
    exponent, square = exponent_of(peak), 0.0
    for i in range(top, image.shape[1]):
        value = times_power_of_two(np.float64(image[j, i, c]), -exponent)
        image[j, i, c] = value
        square += value * value
    return square, exponent


@kernel
def _dots(image, at, rows, c, out):
    """out[0] = sum over rows of the entry in lane c times the row; rows lie one after another."""
    L = lanes(image)
    sum_0 = sum_1 = sum_2 = sum_3 = zeros(image)
    while rows >= 4:
        sum_0 = multiply_add(splat(image, at + c), load(image, at), sum_0)
        sum_1 = multiply_add(splat(image, at + L + c), load(image, at + L), sum_1)
        sum_2 = multiply_add(splat(image, at + 2 * L + c), load(image, at + 2 * L), sum_2)
        sum_3 = multiply_add(splat(image, at + 3 * L + c), load(image, at + 3 * L), sum_3)
        at, rows = at + 4 * L, rows - 4
    while rows > 0:
        sum_0 = multiply_add(splat(image, at + c), load(image, at), sum_0)
        at, rows = at + L, rows - 1
    store(out, 0, (sum_0 + sum_1) + (sum_2 + sum_3))


@kernel
def _reflect(j, triangle, target, p, work):
    """Panel p of `target` times the block reflector of panel j, or its transpose.

    I - V T V^T with triangle 0 (-T), I - V T^T V^T with triangle 1 (-T^T); from row j*L down.
    """
    n, H, L = work.image.shape
    small, triangles = work.small, work.triangles
    V = Rows(work.image.reshape(work.image.size), (j * H + j * L) * L, L)
    rows = Rows(target.reshape(target.size), (p * H + j * L) * L, L)
    for a in range(0, L, 4):
        tile = summed_outer(no_tile(small, 4, 1), V, rows, 0, H - j * L, a, 0)
        put_tile(tile, small, a * L, L, 0)
    left = Rows(triangles.reshape(triangles.size), (triangle * n + j) * L * L, L)
    multiply(left, L, 0, L, small[:1], rows_from(small, 1))
    add_product(V, H - j * L, small, L * L, L, rows)


@kernel
def form(k, work):
    """frame = Q, the reflectors applied to the first k unit vectors, rows back in their order."""
    n, H, L = work.frame.shape
    frame, image = work.frame, work.image
    fill(frame, 0)
    for g in range(k):
        frame[g // L, g, g % L] = 1
    for j in range(n - 1, -1, -1):
        for p in range(j, n):
            _reflect(j, 0, frame, p, work)
    for at in range(0, n * H * L, L):
        store(image, at, load(frame, at))
    for p in range(n):
        for r in range(H):
            store(frame, (p * H + work.order[r]) * L, load(image, (p * H + r) * L))
