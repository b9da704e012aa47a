"""Whether Markov chains have come together, and how many independent draws theirs are worth.

Shapes: C chains, D draws of each, N numbers.
"""

import numpy as np


def split_r_hat(draws_CDN: np.ndarray) -> np.ndarray:
    """[N] potential scale reduction of the halves of all chains (Gelman et al. 2013); 1 where they agree.

    Above 1.01 the chains have not come together yet (Vehtari et al. 2021). NaN where a number never varies.

    Args:
        draws_CDN: at least 4 draws of each chain.
    """
    halves = _halves(draws_CDN)
    num = halves.shape[1]
    within_N = halves.var(axis=1, ddof=1).mean(0)
    between_N = num * halves.mean(1).var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(((num - 1) / num * within_N + between_N / num) / within_N)


def effective_sample_size(draws_CDN: np.ndarray) -> np.ndarray:
    """[N] independent draws that the draws are worth for their mean, by Geyer's initial monotone sequence.

    As in Vehtari et al. (2021), of the halves of all chains and without ranks. NaN where a number never varies.

    Args:
        draws_CDN: at least 4 draws of each chain.
    """
    halves = _halves(draws_CDN)
    C, D, N = halves.shape
    centred = halves - halves.mean(1, keepdims=True)
    size = 1 << (2 * D - 1).bit_length()
    power = np.fft.rfft(centred, size, axis=1)
    covariance_LN = np.fft.irfft(np.square(np.abs(power)), size, axis=1)[:, :D].mean(0) / D
    within_N = covariance_LN[0] * D / (D - 1)
    between_N = halves.mean(1).var(axis=0, ddof=1) if C > 1 else np.zeros(N)
    total_N = within_N * (D - 1) / D + between_N
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation_LN = 1 - (within_N - covariance_LN * D / (D - 1)) / total_N
        correlation_LN[0] = 1.0
        pairs_LN = correlation_LN[: D // 2 * 2].reshape(-1, 2, N).sum(1)
        is_positive_LN = np.cumprod(pairs_LN > 0, axis=0).astype(bool)
        monotone_LN = np.minimum.accumulate(pairs_LN, axis=0)
        time_N = -1 + 2 * np.where(is_positive_LN, monotone_LN, 0.0).sum(0)
        sizes_N = C * D / np.maximum(time_N, 1 / np.log10(C * D))
    return np.where(total_N > 0, sizes_N, np.nan)


def _halves(draws_CDN: np.ndarray) -> np.ndarray:
    half = draws_CDN.shape[1] // 2
    return np.concatenate((draws_CDN[:, :half], draws_CDN[:, -half:]))
