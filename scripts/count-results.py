#!/usr/bin/env python3
"""count-results.py FOLDER [FAILED_SUITE...]: adds up the JUnit files in the folder and prints the last line of a test run.

A suite that failed without a failed test (its build broke, it crashed) counts as one failure. Ends with 0 only if nothing failed.
"""

import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def count(path):
    passed = failed = 0
    suites = xml.parse(path).getroot()
    for suite in [suites] if suites.tag == "testsuite" else suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - skipped
    return passed, failed


def main(folder, failed_suites):
    counts = {path.stem: count(path) for path in sorted(Path(folder).glob("*.xml"))}
    passed = sum(p for p, _ in counts.values())
    failed = sum(f for _, f in counts.values())
    failed += sum(1 for suite in failed_suites if not counts.get(suite, (0, 0))[1])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
