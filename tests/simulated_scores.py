"""Scores of systems whose true difference is known, to hold intervals and tests to what they promise."""

from __future__ import annotations

import numpy as np


def seeded(seed=0):
    return np.random.default_rng(seed)


def singletons(n):
    """Group names of examples that each stand alone."""
    return [str(i) for i in range(n)]


def groups_of(num_groups, size):
    """Group names of `num_groups` equally large groups."""
    return [str(i) for i in range(num_groups) for _ in range(size)]


def draw_differences(rng, num_groups, size, gain, discordance, correlation):
    """(num_groups * size,) of -1, 0 and 1: what the first of two right-or-wrong systems has over the second.

    Their mean is `gain` and the share of those that are not 0 `discordance`, in truth. Any two of a group are
    correlated by `correlation`: each copies its group's own draw with probability sqrt(correlation).
    """
    shares = [(discordance - gain) / 2, 1 - discordance, (discordance + gain) / 2]
    of_group = rng.choice([-1, 0, 1], size=(num_groups, 1), p=shares)
    of_example = rng.choice([-1, 0, 1], size=(num_groups, size), p=shares)
    copies = rng.random((num_groups, size)) < np.sqrt(correlation)
    return np.where(copies, of_group, of_example).ravel().astype(float)


def draw_labels(rng, num_groups, size, shares, accuracies, correlation=0.0):
    """Expected labels, and for each of `accuracies` the labels that a system of that accuracy answers.

    `shares` are those of the labels 0, 1, ...; a wrong answer is any other label. Within a group, whether a
    system is right is correlated as in `draw_differences`.
    """
    n, labels = num_groups * size, [str(label) for label in range(len(shares))]
    expected = rng.choice(len(shares), size=n, p=shares)
    answered = []
    for accuracy in accuracies:
        copies = rng.random((num_groups, size)) < np.sqrt(correlation)
        luck = np.where(copies, rng.random((num_groups, 1)), rng.random((num_groups, size))).ravel()
        others = (expected + rng.integers(1, len(shares), size=n)) % len(shares)
        answered.append([labels[i] for i in np.where(luck < accuracy, expected, others)])
    return [labels[i] for i in expected], answered
