"""Makes docs/rest.md from the contracts.

    rest_reference.py PRINT_CONTRACTS            writes docs/rest.md
    rest_reference.py PRINT_CONTRACTS --check    ends with 1 and a diff when docs/rest.md is not what would be written

PRINT_CONTRACTS is the program flashsale-print-contracts of a build: the OpenAPI document and the reasons, without a running system.
"""

import difflib
import json
import re
import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "rest.md"

HEAD = """\
# REST reference

Made from the contracts in `proto/` by `scripts/rest_reference.py`; `./flashsale test contracts` fails when it is out of date. The same
as OpenAPI 3.1: `curl http://127.0.0.1:8080/openapi.json`. How to operate: [operations.md](operations.md).

There are two surfaces over the same services:

- [`/v1/...`](#v1): resources. A refusal is a problem (`application/problem+json`) with the status of its [reason](#reasons). A member of a
  body that is not known is refused.
- [the compatible paths](#compatible): the names, spelling and shapes of the API that this system's users know. A buy and a change of a cart that
  a rule refuses (SOLD_OUT, NOT_ENOUGH, LIMIT_REACHED, NOT_OPEN, CLOSED, BANNED, UNKNOWN_SKU,
  CHALLENGE_REQUIRED) is 200 with the flags of [BuyResponse (compatible)](#buyresponse-compatible), `repResult` false; throttled or slowed is 429 with `isThrottled` true. All else that is not done is a
  problem here too, with `isThrottled` and `version` besides. Members of a body that are not known are ignored.

**Bodies** are JSON objects with `Content-Type: application/json`. Zero and false are always written; counts are numbers; a price is a plain
decimal (99, 99.9); a time is RFC 3339 in UTC; a duration is seconds with an `s` (`600s`).

**Idempotency-Key**, 1 to 128 printable ASCII characters, names a person's attempt to buy. The same key and request again, at once or after a
crash, have one effect and get the first grant as it is now. The same key with another request is KEY_REUSED.

**Flashsale-Solution.** CHALLENGE_REQUIRED (428; on the compatible paths 200 with its flags) carries the header `Flashsale-Challenge`, and a problem repeats
it as `challenge`: a text `v1.DIFFICULTY.EXPIRY.NONCE.MAC`. Append a dot and a decimal number such that the SHA-256 of the whole begins with DIFFICULTY zero
bits, and send that as `Flashsale-Solution` with the next attempt of the same account, from the same address, before EXPIRY (seconds since 1970). It counts
once. `tools/challenge/` has solvers in JavaScript and Python.

**Flashsale-Truncated.** Where the answer is a bare list, as on the compatible paths, nothing in it can say that it is not all. Then it carries the header
`Flashsale-Truncated: true`; without the header it is all. The rest is on the `/v1` path of the same thing, in pages.

**Unknown is not no.** OUTCOME_UNKNOWN (504) says that the request may or may not have taken effect: ask again with the same key.

**Access** says who may call: `public` anybody, `shopper` a person for their own account, `operator` whoever runs the sale, `payment` the payment
side. In demo mode nobody is asked for a token.

The answer of every route carries `traceparent`; a problem repeats its trace as `traceId`. HEAD works wherever GET does, and OPTIONS answers 204 with
`Allow`.
"""

SURFACES = (
    ("v1", "/v1"),
    ("compatible", "Compatible"),
)


def main():
    arguments = sys.argv[1:]
    check = "--check" in arguments
    programs = [argument for argument in arguments if argument != "--check"]
    if len(programs) != 1:
        sys.exit(__doc__.strip())
    contracts = json.loads(subprocess.run(programs, stdout=subprocess.PIPE, check=True).stdout)
    text = Reference(contracts).text()
    if not check:
        REFERENCE.write_text(text)
        return 0
    return report_difference(REFERENCE.read_text() if REFERENCE.exists() else "", text)


def report_difference(committed, made):
    if committed == made:
        return 0
    sys.stdout.writelines(difflib.unified_diff(committed.splitlines(True), made.splitlines(True), "docs/rest.md", "the contracts", n=1))
    print("docs/rest.md is out of date: run /usr/bin/python3 scripts/rest_reference.py build/release/bin/flashsale-print-contracts")
    return 1


class Reference:
    def __init__(self, contracts):
        self.openapi = contracts["openapi"]
        self.reasons = contracts["reasons"]
        self.schemas = self.openapi["components"]["schemas"]

    def text(self):
        parts = [HEAD]
        for tag, title in SURFACES:
            parts += self.surface(tag, title)
        parts += self.messages() + self.problem() + self.reason_table()
        return "\n".join(parts)

    # ---- routes ----

    def operations(self, tag):
        for path, item in self.openapi["paths"].items():
            for method, operation in item.items():
                if tag in operation["tags"]:
                    yield method.upper(), path, operation

    def surface(self, tag, title):
        operations = list(self.operations(tag))
        lines = [f"## {title}", ""]
        lines += table(("route", "what", "access"), (
            (f"[`{method} {path}`](#{anchor(f'{method} {path}')})", operation["summary"], operation["x-access"])
            for method, path, operation in operations))
        for method, path, operation in operations:
            lines += self.operation(method, path, operation)
        return lines

    def operation(self, method, path, operation):
        lines = [f"### {method} {path}", "", flow(operation["description"]), ""]
        inputs = [self.parameter(parameter) for parameter in operation["parameters"]] + self.body_fields(operation)
        if inputs:
            lines += table(("field", "in", "type", "meaning"), inputs)
        return lines + [self.answer(operation), ""]

    def parameter(self, parameter):
        if "$ref" in parameter:
            parameter = self.openapi["components"]["parameters"][last_name(parameter)]
        return f"`{parameter['name']}`", parameter["in"], self.type_of(parameter["schema"]), parameter["description"]

    def body_fields(self, operation):
        if "requestBody" not in operation:
            return []
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        return [(name, "body", kind, meaning) for name, kind, meaning in self.fields(schema)]

    def answer(self, operation):
        (status, done), = ((status, response) for status, response in operation["responses"].items() if status != "default")
        headers = "".join(f", with `{name}`" + " if there are more" * (name == "Flashsale-Truncated") for name in done.get("headers", {}))
        (kind, content), = done["content"].items()
        if kind != "application/json":
            return f"Answer {status}{headers}: `{kind}`."
        schema = content["schema"]
        return f"Answer {status}{headers}: {self.type_of(schema)}. {flow(done['description'])}"

    # ---- messages ----

    def messages(self):
        lines = ["## Messages", ""]
        for name in sorted(self.schemas, key=lambda name: (plain_name(name), name)):
            if name == "Problem":
                continue
            lines += [f"### {heading(name)}", "", flow(self.schemas[name].get("description", "")), ""]
            lines += table(("field", "type", "meaning"), self.fields(self.schemas[name]))
        return lines

    def fields(self, schema):
        required = schema.get("required", ())
        for name, value in schema.get("properties", {}).items():
            must = ", required" if name in required else ""
            meaning = value.get("description", "")
            if "x-enum-descriptions" in value:
                meaning += " " + "; ".join(f"`{line.partition(': ')[0]}`: {line.partition(': ')[2].rstrip('.')}"
                                           for line in value["x-enum-descriptions"].splitlines())
            yield f"`{name}`", self.type_of(value) + must, meaning

    def type_of(self, schema):
        if "$ref" in schema:
            name = last_name(schema)
            return f"[{heading(name)}](#{anchor(heading(name))})"
        if schema.get("type") == "array":
            return f"list of {self.type_of(schema['items'])}"
        if "enum" in schema:
            return "name"
        if schema.get("format") == "date-time":
            return "time"
        if schema.get("pattern", "").endswith("s$"):
            return "duration"
        if "x-decimals" in schema:
            return "decimal"
        if schema.get("contentEncoding"):
            return schema["contentEncoding"]
        kind = schema.get("type", "")
        if kind == "object":
            return "object of " + ", ".join(f"`{name}`" for name in schema.get("properties", {}))
        return {"integer": "whole number", "string": "text", "boolean": "true or false", "null": "null"}.get(kind, kind)

    # ---- problems ----

    def problem(self):
        schema = self.schemas["Problem"]
        rows = ((name, kind, "One of the [reasons](#reasons)." if name == "`reason`" else meaning)
                for name, kind, meaning in self.fields(schema))
        return ["## Problem", "", flow(schema["description"]), ""] + table(("field", "type", "meaning"), rows)

    def reason_table(self):
        return ["## Reasons", "", "*Again* says whether to try again: `later` as a new attempt, `same-key` with the same key because the first may have "
                "taken effect, `with-solution` as a new attempt with the solution of the challenge that came. *Wait* is `Retry-After` where the answer does not know better: NOT_OPEN counts the time until the opening.", ""] + table(
            ("reason", "REST", "gRPC", "again", "wait", "meaning"),
            ((f"`{reason['name']}`", reason["status"], reason["code"], reason["retry"],
              f"{reason['retryAfterMs']} ms" if reason["retryAfterMs"] else "", reason["meaning"]) for reason in self.reasons))


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return lines + [""]


def cell(value):
    return flow(str(value)).replace("|", "\\|")


def flow(text):
    return " ".join(text.split())


def last_name(reference):
    return reference["$ref"].rpartition("/")[2]


def plain_name(name):
    return name.removeprefix("compatible.").rpartition(".")[2]


def heading(name):
    """compatible.cart.v1.CartLine -> CartLine (compatible)"""
    return plain_name(name) + (" (compatible)" if name.startswith("compatible.") else "")


def anchor(title):
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
