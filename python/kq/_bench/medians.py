# SPDX-License-Identifier: Apache-2.0
"""The median of samples, of ratios of pairs, and how sure it is."""

import math

RELATIVE_INTERVAL = 0.01


def median(samples):
    values, middle = sorted(samples), len(samples) // 2
    return values[middle] if len(values) % 2 else 0.5 * (values[middle - 1] + values[middle])


def median_interval(samples):
    """95 % confidence interval of the median: order statistics, whose ranks are binomial."""
    values, count = sorted(samples), len(samples)

    def chance(k):
        return math.exp(math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) -
                        count * math.log(2))

    low, below = 0, chance(0)
    while 2 * (low + 2) <= count + 1:
        below += chance(low + 1)
        if below > 0.025:
            break
        low += 1
    return values[low], values[count - 1 - low]


def is_narrow(samples):
    low, high = median_interval(samples)
    middle = median(samples)
    return max(middle - low, high - middle) <= RELATIVE_INTERVAL * middle


def ratio_of_pairs(samples, baseline):
    """(median, (low, high)) of the ratios of samples that were taken in turns: what slows both alike cancels."""
    ratios = [one / other for one, other in zip(samples, baseline, strict=True)]
    return median(ratios), median_interval(ratios)
