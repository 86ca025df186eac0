"""Hooks that are called when a run ends: a URL that accepts JSON, or a command that reads it.

One is called on failure, the other at every end. They are set by options or by environment
variables, never by a flow's parameters: a user who may start a run on Prefect's page must not be
able to start any command.
"""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from webtext.flows.building.watched import passing

ON_FAILURE, ON_FINISH = "WEBTEXT_ON_FAILURE", "WEBTEXT_ON_FINISH"
ENDS = {"run_finished", "run_failed", "run_stopped"}
WEB_SECONDS = 10.0  # to wait for an answer
COMMAND_SECONDS = 60.0  # a command may run; then it is killed
DELAYS = (1.0, 4.0)  # s before each retry of a URL


class Hooks:
    """Calls the hooks at a run's end; an error in one is reported and changes nothing else."""

    def __init__(
        self, say: Callable[[str], None], environment: Mapping[str, str] = os.environ
    ) -> None:
        self.say = say
        self.failure = environment.get(ON_FAILURE, "")
        self.finish = environment.get(ON_FINISH, "")

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Call the hooks that are set for this event."""
        if event not in ENDS:
            return
        told = json.dumps({"event": event, **facts}, ensure_ascii=False, default=str)
        for hook in ([self.failure] if event == "run_failed" else []) + [self.finish]:
            if hook and (wrong := call(hook, event, told)):
                self.say(f"hook {hook}: {wrong}")


def call(hook: str, event: str, told: str) -> str | None:
    """Post to a URL, or run a command with the JSON on its standard input.

    Returns the error in one line, or None.
    """
    if hook.startswith(("http://", "https://")):
        return _post(hook, told)
    try:
        done = subprocess.run(  # noqa: S602 -- a user's own command line, from the environment
            hook,
            shell=True,
            input=told,
            text=True,
            errors="replace",
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
            env={**os.environ, "WEBTEXT_EVENT": event},
        )
    except subprocess.TimeoutExpired:
        return f"not done after {COMMAND_SECONDS:.0f} s, and killed"
    except OSError as error:
        return str(error)
    said = (done.stderr.strip().splitlines() or [""])[-1]
    return f"exit code {done.returncode} {said}".strip() if done.returncode else None


def _post(address: str, told: str) -> str | None:
    """Post JSON, with retries where they can help."""
    request = urllib.request.Request(  # noqa: S310 -- http and https alone come here
        address, told.encode(), {"Content-Type": "application/json", "User-Agent": "webtext"}
    )
    for delay in (*DELAYS, None):
        try:
            with urllib.request.urlopen(request, timeout=WEB_SECONDS):  # noqa: S310 -- as above
                return None
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            cause = reason if isinstance(reason, BaseException) else error
            if delay is None or not (passing(error) or passing(cause)):
                return str(error)
        time.sleep(delay)
    return None
