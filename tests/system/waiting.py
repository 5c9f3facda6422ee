"""Waiting for conditions. Nothing of gRPC: its threads would stay in the network that a process leaves."""

import os
import time

PRESET = os.environ.get("FLASHSALE_TEST_PRESET", "release")
# Sanitizers make everything slower; waits are for conditions, so only a failing test waits this long.
PATIENCE_S = 20 if PRESET == "release" else 90


def wait_until(condition, seconds=PATIENCE_S, what=""):
    """Waits for condition() to be true and returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.05)
