"""The learning rate as a function of the step, with no state to save."""

import math

from webtext.model.settings import Train


def rate(settings: Train, step: int) -> float:
    """Return the learning rate of a step; the first step is 0.

    It rises linearly over `warmup` steps, then follows the schedule to `min_lr` at the last step.

    >>> [round(rate(Train(steps=5, warmup=2, lr=1.0, min_lr=0.0), step), 2) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    share = {"cosine": cosine, "wsd": wsd, "trapezoid": trapezoid}[settings.schedule]
    return settings.min_lr + (settings.lr - settings.min_lr) * share(settings, step)


def cosine(settings: Train, step: int) -> float:
    """Return the remaining share of the way from `min_lr` to `lr`: half a period of a cosine.

    Source: Loshchilov and Hutter (2017), SGDR; Brown et al. (2020) decay to a tenth of the peak.
    """
    return 0.5 * (1 + math.cos(math.pi * progress(settings.warmup, settings.steps, step)))


def wsd(settings: Train, step: int) -> float:
    """Return the same for warm-up, stable, decay: constant, then decaying as 1 - sqrt at the end.

    Source: Hu et al. (2024), MiniCPM; the square root, over a fifth of the steps: Hägele et al.
    (2024).
    """
    return 1 - math.sqrt(progress(decay_start(settings), settings.steps, step))


def trapezoid(settings: Train, step: int) -> float:
    """Return the same for a linear decay.

    Source: Zhai et al. (2022), Scaling Vision Transformers, section 3.5; modded-nanogpt decays to 0
    over two fifths of the steps or more.
    """
    return 1 - progress(decay_start(settings), settings.steps, step)


def decay_start(settings: Train) -> int:
    """Return the last step of "wsd" or "trapezoid" at the peak learning rate.

    >>> decay_start(Train(steps=100, warmup=10, schedule="wsd", decay=0.2))
    80
    """
    return max(settings.warmup, round(settings.steps * (1 - settings.decay)))


def progress(start: int, steps: int, step: int) -> float:
    """Return how far a step has come on the way from `start` to the last step, from 0 to 1."""
    return min(1.0, max(0.0, (step - start) / max(1, steps - 1 - start)))
