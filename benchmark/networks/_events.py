"""The numba kernels of `convolving.py`. An image is [N, H, W, C] in memory, its spikes a list for each position."""

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def _list(table, starts, found):
    """The columns that are not 0 in each row."""
    count = 0
    for row in range(table.shape[0]):
        starts[row] = count
        for column in range(table.shape[1]):
            if table[row, column]:
                found[count] = column
                count += 1
    starts[table.shape[0]] = count


@numba.njit(cache=True, error_model="numpy", parallel=True, fastmath={"reassoc"})
def _add_weights(starts, channels, weights, bias, y, images, height, width, high, wide, window, across, down, right, above, left):
    """y [images * high * wide, outputs]: the rows of weights that belong to the spikes in reach, added up."""
    outputs, taken = weights.shape[1], weights.shape[0] // (window * across)
    for line in numba.prange(images * high):
        image, top = line // high, (line % high) * down - above
        reached = np.empty(weights.shape[0] + 8, np.int64)
        for column in range(wide):
            count, first = 0, column * right - left
            for tap in range(window * across):
                i, j = top + tap // across, first + tap % across
                if 0 <= i < height and 0 <= j < width:
                    position = (image * height + i) * width + j
                    for e in range(starts[position], starts[position + 1]):
                        reached[count] = tap * taken + channels[e]
                        count += 1
            out = y[line * wide + column]
            out[:] = bias
            done = 0
            while done + 4 <= count:
                a, b = weights[reached[done]], weights[reached[done + 1]]
                c, d = weights[reached[done + 2]], weights[reached[done + 3]]
                for o in range(outputs):
                    out[o] += (a[o] + b[o]) + (c[o] + d[o])
                done += 4
            while done < count:
                a = weights[reached[done]]
                for o in range(outputs):
                    out[o] += a[o]
                done += 1


@numba.njit(cache=True, error_model="numpy", parallel=True)
def _add_gradients(starts, channels, grad, found, parts, images, height, width, high, wide, window, across, down, right, above, left):
    """found [places in the window * inputs, outputs]: the output gradient's rows that each spike reaches, added up, in `parts` of outputs."""
    outputs, taken = grad.shape[1], found.shape[0] // (window * across)
    for part in numba.prange(parts):
        lo, hi = part * outputs // parts, (part + 1) * outputs // parts
        for line in range(images * high):
            image, top = line // high, (line % high) * down - above
            for column in range(wide):
                given, first = grad[line * wide + column, lo:hi], column * right - left
                for tap in range(window * across):
                    i, j = top + tap // across, first + tap % across
                    if 0 <= i < height and 0 <= j < width:
                        position = (image * height + i) * width + j
                        for e in range(starts[position], starts[position + 1]):
                            out = found[tap * taken + channels[e], lo:hi]
                            for o in range(hi - lo):
                                out[o] += given[o]
