#!/usr/bin/env python3
"""run.py [--results FILE] [--share I/N] [NAME...]: breaks one rule after the other and wants a test to go red. See README.md beside this file.

Works in a copy of the tree under build/mutants, never in the tree itself. One mutant is built while the killers of those before it run.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRATCH = ROOT / "build" / "mutants"
TREE, BUILD, KEPT = SCRATCH / "tree", SCRATCH / "build", SCRATCH / "killers"
KILLERS_AT_ONCE = 3  # some wait in vain for what the mutant took away
LIMIT_S = 120  # for one killer; the simulation ends a run that does not get on by itself, sooner

Killer = namedtuple("Killer", "target program arguments")
Mutant = namedtuple("Mutant", "name rule killer hunks")
Hunk = namedtuple("Hunk", "file before after")


class Unfit(Exception):
    """The mutant itself, not a test, is at fault; the text says what to do."""


# ---- what a patch says ----


def read_killer(text):
    kind, *words = text.split()
    if kind == "unit" and len(words) == 1:
        return Killer(words[0], f"tests/{words[0]}", ())
    if kind == "simulation" and words:
        return Killer("simulate", "bin/simulate", tuple(words))
    raise Unfit(f"'Killed-by: {text}' is neither 'unit TEST' nor 'simulation FLAG...'")


def read_hunks(lines):
    hunks, file = [], None
    for line in lines:
        if line.startswith("+++ b/"):
            file = line[6:]
        elif line.startswith("@@ "):
            hunks.append(Hunk(file, [], []))
        elif hunks and not line.startswith(("--- a/", "diff ", "index ", "\\")):
            if line[:1] in ("", " ", "-"):
                hunks[-1].before.append(line[1:])
            if line[:1] in ("", " ", "+"):
                hunks[-1].after.append(line[1:])
    return hunks


def read_mutant(path):
    lines = path.read_text().splitlines()
    head = dict(re.match(r"(Rule|Killed-by): (.+)", line).groups() for line in lines[:2] if ": " in line)
    if set(head) != {"Rule", "Killed-by"}:
        raise Unfit("its first two lines are not 'Rule: ...' and 'Killed-by: ...'")
    hunks = read_hunks(lines[2:])
    if not hunks:
        raise Unfit("it changes nothing")
    return Mutant(path.stem, head["Rule"], read_killer(head["Killed-by"]), hunks)


# ---- the copy of the tree ----


def copy_tree():
    """Only what differs is written, so that a second run builds little."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    names = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for old in TREE.rglob("*"):
        if old.is_file() and str(old.relative_to(TREE)) not in names:
            old.unlink()
    for name in names:
        put(TREE / name, (ROOT / name).read_bytes())
    if (ROOT / ".deps").exists() and not (TREE / ".deps").exists():
        (TREE / ".deps").symlink_to(ROOT / ".deps")


def put(path, content):
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def without_context(hunk):
    before, after = hunk.before, hunk.after
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return Hunk(hunk.file, before, after)


def mutate(hunk, text):
    for fit in (hunk, without_context(hunk)):  # neighbours may have changed
        before, after = ("".join(line + "\n" for line in lines) for lines in (fit.before, fit.after))
        if before and ("\n" + text).count("\n" + before) == 1:
            return ("\n" + text).replace("\n" + before, "\n" + after)[1:]
    raise Unfit(
        f"it does not apply: what it changes in {hunk.file} is not there exactly once. "
        "Break the same rule in the code as it is now, and make the patch anew (README.md)"
    )


def apply(mutant):
    """The files as they are in the copy now, mutated; all or nothing."""
    texts = {}
    for hunk in mutant.hunks:
        if not (ROOT / hunk.file).is_file():
            raise Unfit(f"there is no {hunk.file} any more")
        texts[hunk.file] = mutate(hunk, texts.get(hunk.file) or (ROOT / hunk.file).read_text())
    for file, text in texts.items():
        put(TREE / file, text.encode())


def revert(mutant):
    for hunk in mutant.hunks:
        put(TREE / hunk.file, (ROOT / hunk.file).read_bytes())


# ---- building and running ----


def configure():
    """Quick to build, asserts on, no word about what a mutant leaves unused."""
    if (BUILD / "build.ninja").exists():
        return
    quick = ["-DCMAKE_BUILD_TYPE=", "-DCMAKE_C_FLAGS=-O1 -g0 -w"]
    if shutil.which("ld.gold"):
        quick.append("-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=gold")
    subprocess.run(["cmake", "-S", TREE, "-B", BUILD, "-G", "Ninja", *quick], check=True, stdout=subprocess.DEVNULL)


def build(targets):
    jobs = os.environ.get("FLASHSALE_JOBS")
    done = subprocess.run(
        ["ninja", "-C", BUILD, *(["-j", jobs] if jobs else []), *sorted(targets)], text=True, capture_output=True
    )
    return None if done.returncode == 0 else "\n".join(done.stdout.splitlines()[-20:])


def keep(killer, name):
    """The program as it is now, under a name of its own: the linker makes a new file. No copy: while this process writes a file, what another thread
    of it has started holds that open, and it can't be run."""
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / name
    kept.unlink(missing_ok=True)
    os.link(BUILD / killer.program, kept)
    return kept


def run(killer, program):
    """What it found, or None if it is content."""
    command = [str(program), *killer.arguments]
    try:
        done = subprocess.run(command, text=True, capture_output=True, errors="replace", timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Unfit(
            f"its killer found nothing in {LIMIT_S} s and did not end: a hang shows nothing. Choose another killer"
        ) from None
    finally:
        os.unlink(program)
    return None if done.returncode == 0 else finding(done.stdout + "\n" + done.stderr, done.returncode)


def finding(output, status):
    for pattern in (r"FINDING in .*", r"Assertion .* failed", r"\[  FAILED  \] (?!tests)\S*: .*", r"\[  FAILED  \] .*"):
        found = re.search(pattern, output)
        if found:
            return found.group(0).strip()
    return f"it ended with {status}"


def check_killers(mutants):
    """Red shows nothing where green is not to be had: every killer, without a mutant."""
    killers = {mutant.killer for mutant in mutants}
    words = build({killer.target for killer in killers})
    if words:
        return [("build", f"the tree does not build\n{words}")]
    red = []
    for number, killer in enumerate(sorted(killers)):
        found = run(killer, keep(killer, f"green-{number}"))
        if found:
            red.append((" ".join((killer.target, *killer.arguments)), f"red without any mutant: {found}"))
    return red


def judge(mutant, program):
    began = time.monotonic()
    found = run(mutant.killer, program)
    if found:
        print(f"killed    {mutant.name} in {time.monotonic() - began:.1f} s: {found}", flush=True)
        return None
    return f"SURVIVED {mutant.rule}; {' '.join((mutant.killer.target, *mutant.killer.arguments))} stayed green"


def start(mutant, pool):
    """Builds it; its killer then runs while the next one is built."""
    try:
        apply(mutant)
        (BUILD / mutant.killer.program).unlink(missing_ok=True)
        words = build({mutant.killer.target})
        if words:
            raise Unfit(f"it does not compile; make it anew (README.md)\n{words}")
        return pool.submit(judge, mutant, keep(mutant.killer, mutant.name))
    finally:
        revert(mutant)


def kill_all(mutants):
    bad, running = [], []
    with ThreadPoolExecutor(max_workers=KILLERS_AT_ONCE) as pool:
        for mutant in sorted(mutants, key=lambda mutant: (mutant.hunks[0].file, mutant.killer, mutant.name)):
            try:
                running.append((mutant.name, start(mutant, pool)))
            except Unfit as why:
                bad.append((mutant.name, str(why)))
        for name, judged in running:
            try:
                words = judged.result()
            except Unfit as why:
                words = str(why)
            if words:
                bad.append((name, words))
    return bad


# ---- the whole ----


def read_all(names):
    mutants, bad = [], []
    for path in sorted(HERE.glob("*.patch")):
        if names and path.stem not in names:
            continue
        try:
            mutants.append(read_mutant(path))
        except Unfit as why:
            bad.append((path.stem, str(why)))
    missing = set(names) - {path.stem for path in HERE.glob("*.patch")}
    return mutants, bad + [(name, "there is no such mutant") for name in sorted(missing)]


def write_results(path, count, bad):
    suite = xml.Element("testsuite", name="mutants", tests=str(max(count, len(bad))), failures=str(len(bad)))
    for name, words in bad:
        xml.SubElement(xml.SubElement(suite, "testcase", name=name), "failure").text = words
    xml.ElementTree(suite).write(path)


def main():
    parser = argparse.ArgumentParser(description="Breaks one rule after the other and wants a test to go red.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of tests/mutants/NAME.patch; none: all")
    parser.add_argument("--share", default="0/1", metavar="I/N", help="only each Nth, from the Ith on, counted from 0")
    parser.add_argument("--results", help="a JUnit file")
    options = parser.parse_args()
    began = time.monotonic()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with open(SCRATCH / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # there is one copy of the tree
        return judge_all(options, began)


def judge_all(options, began):
    mutants, bad = read_all(options.names)
    first, step = map(int, options.share.split("/"))
    mutants = mutants[first::step]
    copy_tree()
    configure()
    red = check_killers(mutants) if mutants else []
    bad += red or kill_all(mutants)
    for name, words in bad:
        print(f"FAILED    {name}: {words}", file=sys.stderr)
    print(f"{len(mutants)} mutants, {len(bad)} failed, {time.monotonic() - began:.0f} s")
    if options.results:
        write_results(options.results, len(mutants), bad)
    return 1 if bad or not mutants else 0


if __name__ == "__main__":
    sys.exit(main())
