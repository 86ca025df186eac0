"""The speed of a training, and the time that it still needs."""

import time

from webtext.model.settings import GPT2, Train


class Clock:
    """Measures the time of each step."""

    def __init__(
        self, gpt: GPT2, settings: Train, peak: float | None, processes: int, first: int
    ) -> None:
        self.flops_per_token = gpt.flops_per_token
        self.peak = peak and peak * processes
        self.left = settings.steps - first
        self.steps = 0
        self.pace = 0.0  # seconds a step: a running mean in which the last steps weigh most
        self.started = self.stopped = time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self.started = time.perf_counter()

    def stop(self, tokens: int) -> dict[str, float | None]:
        """End a step of this many tokens; return its speed, MFU and the seconds left."""
        now = time.perf_counter()
        speed = tokens / (now - self.started)
        taken, self.stopped = now - self.stopped, now
        # The first step compiles and warms up, so the time of the second replaces it.
        self.pace = taken if self.steps < 2 else 0.9 * self.pace + 0.1 * taken
        self.steps, self.left = self.steps + 1, self.left - 1
        return {
            "tokens_per_s": speed,
            "mfu": speed * self.flops_per_token / self.peak if self.peak else None,
            "seconds_left": self.pace * self.left,
        }
