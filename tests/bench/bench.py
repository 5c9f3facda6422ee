#!/usr/bin/env python3
"""./flashsale bench: how much the system does on this machine, load generator included.

Starts what it measures itself, drives it over loopback, and stops it. web.py goes through the gatekeeper, books.py straight to inventory and to
the cart; rolling.py restarts everything; ban.py looks how soon a bot is banned. Each bench says what a right answer is; a run with wrong ones ends with 1.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
import ban  # noqa: E402  the path comes first
import bans  # noqa: E402  the path comes first
import books  # noqa: E402
import rolling  # noqa: E402
import web  # noqa: E402

OPEN_FILES = 8192


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = list(dict.fromkeys(arguments.names or web.NAMES))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, OPEN_FILES), hard))

    figures, wrong = {}, []
    for part in (web, books, rolling, ban, bans):
        mine = [name for name in names if name in part.NAMES]
        if not mine:
            continue
        with tempfile.TemporaryDirectory(prefix="flashsale-bench-") as folder:
            measured, complaints = part.run(mine, arguments.seconds, Path(folder))
        figures.update(measured)
        wrong += complaints
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    for line in wrong:
        print(f"bench: wrong answers: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
