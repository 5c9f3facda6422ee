"""Reads Prometheus' text format 0.0.4 strictly, and says what its linter would: names, units, histograms that add up."""

import math
import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')
SUFFIXES = ("_bucket", "_sum", "_count")
WRONG_UNITS = ("_ms", "_millis", "_milliseconds", "_us", "_micros", "_ns", "_minutes", "_hours", "_kb", "_mb", "_percent")


@dataclass
class Family:
    name: str
    help: str = ""
    kind: str = ""
    samples: dict = field(default_factory=dict)  # (suffix, labels as a sorted tuple) -> value

    def label_names(self):
        return sorted({name for _, labels in self.samples for name, _ in labels if not (self.kind == "histogram" and name == "le")})


def read(text):
    """name -> Family; AssertionError says which line is wrong, and how."""
    assert text.endswith("\n"), "the last line has no end"
    families, current = {}, None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            current = read_line(line, families, current)
        except AssertionError as error:
            raise AssertionError(f"line {number}: {line!r}: {error}") from None
    for family in families.values():
        check(family)
    return families


def read_line(line, families, current):
    if line.startswith("# HELP "):
        name, _, text = line[len("# HELP "):].partition(" ")
        assert NAME.match(name), "no name"
        assert name not in families, "the family was there already"
        families[name] = Family(name, text)
        return families[name]
    if line.startswith("# TYPE "):
        name, kind = line[len("# TYPE "):].split(" ")
        assert current and name == current.name and not current.kind and not current.samples, "TYPE belongs after its HELP, once"
        assert kind in ("counter", "gauge", "histogram"), "no type"
        current.kind = kind
        return current
    found = SAMPLE.match(line)
    assert found and current and current.kind, "no sample of a family"
    name, labels, value = found.groups()
    suffix = name.removeprefix(current.name)
    assert name.startswith(current.name) and suffix in (SUFFIXES if current.kind == "histogram" else ("",)), f"not of {current.name}"
    key = (suffix, read_labels(labels or ""))
    assert key not in current.samples, "the series is there twice"
    current.samples[key] = float(value)
    return current


def read_labels(text):
    labels, at = [], 0
    while at < len(text):
        found = LABEL.match(text, at)
        assert found, f"no label at {text[at:]!r}"
        labels.append((found[1], re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], found[2])))
        at = found.end()
    names = [name for name, _ in labels]
    assert len(set(names)) == len(names), "a label is there twice"
    return tuple(sorted(labels))


def check(family):
    name = family.name
    assert family.samples, f"{name} has no series"
    assert family.help.endswith("."), f"{name}: HELP is no sentence: {family.help!r}"
    assert name == name.lower() and not name.endswith(SUFFIXES), name
    assert name.endswith("_total") == (family.kind == "counter"), f"{name}: _total is for counters, and for all of them"
    assert not name.removesuffix("_total").endswith(WRONG_UNITS), f"{name}: base units only"
    values = list(family.samples.values())
    assert not any(math.isnan(value) for value in values), name
    if family.kind != "gauge":
        assert all(value >= 0 for value in values), f"{name} fell"
    if family.kind == "histogram":
        check_histogram(family)


def check_histogram(family):
    rows = {}
    for (suffix, labels), value in family.samples.items():
        le = dict(labels).get("le")
        rows.setdefault(tuple(pair for pair in labels if pair[0] != "le"), {})[le if suffix == "_bucket" else suffix] = value
    for labels, row in rows.items():
        where = f"{family.name}{labels}"
        count, _ = row.pop("_count"), row.pop("_sum")
        bounds = sorted(row, key=float)
        assert bounds[-1] == "+Inf" and row["+Inf"] == count, where
        assert list(row) == bounds, f"{where}: buckets out of order"
        assert all(row[a] <= row[b] for a, b in zip(bounds, bounds[1:])), f"{where}: buckets do not add up"
