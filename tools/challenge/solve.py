#!/usr/bin/env python3
"""Solves a challenge of the gatekeeper (reason CHALLENGE_REQUIRED): prints the solution, for the header Flashsale-Solution.

    solve.py CHALLENGE

As a module: solve(challenge) returns the same. A challenge is "v1.DIFFICULTY.EXPIRY.NONCE.MAC"; a solution is the challenge, a dot and a decimal number, such
that the SHA-256 of the whole text begins with DIFFICULTY zero bits. About 2^DIFFICULTY numbers have to be tried; docs/operations.md says how long that takes.
"""

import hashlib
import sys
import time


class Unsolved(Exception):
    """It is no challenge, or it ended first."""


def solve(challenge):
    difficulty, expires = read(challenge)
    prefix = hashlib.sha256(f"{challenge}.".encode())
    shift = 256 - difficulty
    number = 0
    while True:
        attempt = prefix.copy()  # what does not change is hashed once
        attempt.update(b"%d" % number)
        if int.from_bytes(attempt.digest(), "big") >> shift == 0:
            return f"{challenge}.{number}"
        number += 1
        if number % 65536 == 0 and time.time() >= expires:
            raise Unsolved("it expired while it was being solved: ask again for a new one")


def read(challenge):
    parts = challenge.split(".")
    if len(parts) != 5 or parts[0] != "v1" or not parts[1].isdecimal() or not parts[2].isdecimal() or int(parts[1]) > 256:
        raise Unsolved(f"no challenge of a kind that is known here: {challenge[:100]}")
    return int(parts[1]), int(parts[2])


if __name__ == "__main__":
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        sys.exit()
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    try:
        print(solve(sys.argv[1]))
    except Unsolved as why:
        sys.exit(f"solve.py: {why}")
