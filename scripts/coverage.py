"""Coverage of the engines and of the stores, out of what a run of the preset `coverage` left behind.

usage: coverage.py BUILD_DIR EXCLUSIONS [--missing]

gcovr gathers and prints; this only takes out what does not count, and says so here:
 - assertions: their failing side ends the process, and what they say cannot happen;
 - of a switch without a default the way past all its cases: the compiler sees to it that they name each value of the enum;
 - branches inside uthash's macros, which are its own;
 - the lines of EXCLUSIONS, each of which must still be needed.
Fails when an engine has a line or a branch that did not
run, or a store has less than 90 % of its lines. --missing names what is not covered.
"""
import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

# Pure: a command and the time in, a result and changes out.
ENGINES = """
inventory/engine.c inventory/time.c inventory/time.h inventory/records.c inventory/records_orders.c inventory/packing.h
inventory/ledger_page.c
cart/cart.c cart/cart_ledger.c cart/lines.c cart/lines.h cart/attempts.c cart/fence.c cart/fence.h cart/keys.c cart/keys.h
cart/limits.c cart/entries.c cart/orders.c cart/orders.h cart/orders_events.c cart/orders_requests.c cart/map.c cart/slab.c
protector/analysis*.c protector/analysis_internal.h protector/ladder.c protector/ladder.h protector/mix.c protector/nest.c protector/top.c
protector/bans_judge.c protector/records.c protector/detection.c protector/subject.c protector/table.c protector/table.h
protector/detectors.c protector/recording.c protector/window.h protector/gaps.h protector/distinct.h
gatekeeper/edge/ban_table.c gatekeeper/edge/ban_table.h gatekeeper/edge/challenge.c gatekeeper/edge/ladder.c
""".split()
# What keeps the books on disk, and the form they have there.
STORES = """
base/store*.c base/writer.c cart/shelf*.c cart/records.c cart/order_records.c cart/packing.h
inventory/books*.c inventory/compaction.c protector/history.c protector/shelf.c protector/restoring.c
""".split()
STORE_LINES_MIN = 90

ASSERTION = re.compile(r"\s*(static_)?assert\(")
SWITCH = re.compile(r"(\s*)switch \(")
UTHASH = re.compile(r"\bHASH_[A-Z_]+\s*\(")


def gcovr(*arguments, capture=False):
    return subprocess.run(["gcovr", "--root", ".", *arguments], check=False, text=True, capture_output=capture)


def gather(build):
    tracefile = build / "coverage.json"
    # One worker: after an error in one of several, this version of gcovr waits for ever.
    done = gcovr("--object-directory", str(build), "-j", "1", "--json", str(tracefile),
                 *(part for name in ENGINES + STORES for part in ("--filter", fnmatch.translate(name))),
                 *(str(build / folder) for folder in ("base", "cart", "inventory", "protector", "gatekeeper/edge", "tests/unit")), capture=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(tracefile.read_text())


def assertion_lines(text):
    """The numbers of the lines that belong to an assertion, from its name to its last parenthesis."""
    numbers, depth = set(), 0
    for number, line in enumerate(text, 1):
        if depth == 0 and not ASSERTION.match(line):
            continue
        numbers.add(number)
        depth += line.count("(") - line.count(")")
    return numbers


def is_switch_without_default(text, number):
    """Whether line `number` begins one; its end is the brace at its own depth."""
    begin = SWITCH.match(text[number - 1])
    if not begin:
        return False
    for line in text[number:]:
        if line == begin[1] + "}":
            return True
        if line.strip().startswith("default:"):
            return False
    return False


def leave_out_branches(line, text, assertions):
    number = line["line_number"]
    if number in assertions or UTHASH.search(text[number - 1]):
        line["branches"] = []
    elif line["branches"] and line["branches"][-1]["count"] == 0 and is_switch_without_default(text, number):
        line["branches"].pop() # the last one is the way past all cases


def read_exclusions(path):
    """[(number, file, code, why)]; a line of EXCLUSIONS: file | the line of code | why"""
    exclusions = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            parts = [part.strip() for part in line.split(" | ")]
            if len(parts) != 3 or not all(parts):
                sys.exit(f"{path}:{number}: not 'file | line of code | why'")
            exclusions.append((number, *parts))
    return exclusions


def is_missing(line):
    return line["count"] == 0 or any(branch["count"] == 0 for branch in line["branches"])


def leave_out(report, exclusions):
    """Takes out what does not count. Returns the numbers of the exclusions that were needed."""
    needed = set()
    for file in report["files"]:
        text = Path(file["file"]).read_text().splitlines()
        assertions = assertion_lines(text)
        for line in file["lines"]:
            leave_out_branches(line, text, assertions)
            if not is_missing(line):
                continue
            for number, name, code, _ in exclusions:
                if name == file["file"] and code == text[line["line_number"] - 1].strip():
                    needed.add(number)
                    line["gcovr/noncode"] = True
                    line["branches"] = []
    return needed


def print_missing(report):
    for file in report["files"]:
        text = Path(file["file"]).read_text().splitlines()
        for line in file["lines"]:
            if is_missing(line) and not line["gcovr/noncode"]:
                taken = "".join("+" if branch["count"] else "-" for branch in line["branches"])
                ran = "" if line["count"] else "never"
                print(f"{file['file']}:{line['line_number']}: {ran or taken}\t{text[line['line_number'] - 1].strip()}")


def judge(title, report, names, where, *limits):
    part = dict(report, files=[file for file in report["files"] if any(fnmatch.fnmatch(file["file"], name) for name in names)])
    path = where / f"coverage-{title}.json"
    path.write_text(json.dumps(part))
    fine = True
    for measure in ("lines", "branches"):
        print(f"\n{title}: {measure}", flush=True)
        wanted = [limit for limit in limits if measure[:4] in limit]
        fine = gcovr("--add-tracefile", str(path), "--txt", "-", *(["--branches"] if measure == "branches" else []),
                     *wanted).returncode == 0 and fine
    return fine


def stores_fine(report):
    """Each of them, so that a small one can't hide behind the large ones."""
    fine = True
    for file in report["files"]:
        if any(fnmatch.fnmatch(file["file"], name) for name in STORES):
            lines = [line for line in file["lines"] if not line["gcovr/noncode"]]
            ran = sum(line["count"] > 0 for line in lines)
            if ran * 100 < STORE_LINES_MIN * len(lines):
                print(f"{file['file']}: {ran} of {len(lines)} lines ran, fewer than {STORE_LINES_MIN} %")
                fine = False
    return fine


def main():
    build, path = Path(sys.argv[1]), Path(sys.argv[2])
    report, exclusions = gather(build), read_exclusions(path)
    needed = leave_out(report, exclusions)
    fine = judge("engines", report, ENGINES, build, "--fail-under-line=100", "--fail-under-branch=100")
    fine = judge("stores", report, STORES, build) and stores_fine(report) and fine
    for number, name, code, _ in exclusions:
        if number not in needed:
            print(f"{path}:{number}: not needed any more: {name}: {code}")
            fine = False
    if not fine or "--missing" in sys.argv:
        print_missing(report)
    sys.exit(0 if fine else 1)


main()
