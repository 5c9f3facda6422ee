"""schemas.py SWAGGER FOLDER KIND...: what kubeconform reads, out of Kubernetes' own description of its API: a strict JSON schema for each kind."""

import json
import sys
from pathlib import Path

PREFIX = "#/definitions/"


def strict(schema):
    """No field that the API does not have. Numbers that may be text, and fields that hold anything, are said so only by name in the description."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items() if key != "description"}
    if made.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made


def references(schema):
    if isinstance(schema, list):
        for item in schema:
            yield from references(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(PREFIX)
        for value in schema.values():
            yield from references(value)


def schema_of(definitions, name):
    """One file, with all that it refers to inside."""
    found, open_names = {}, [name]
    while open_names:
        here = open_names.pop()
        if here not in found:
            found[here] = strict(definitions[here])
            open_names += references(found[here])
    return {"$ref": PREFIX + name, "definitions": found}


def main(swagger, folder, kinds):
    definitions = json.loads(Path(swagger).read_text())["definitions"]
    # Quantities are written as numbers too.
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            version = "/".join(filter(None, (kind["group"], kind["version"])))
            if f"{version}/{kind['kind']}" in kinds:
                group = kind["group"].split(".")[0]  # kubeconform's {{.KindSuffix}}
                file = "-".join(filter(None, (kind["kind"].lower(), group, kind["version"]))) + ".json"
                (Path(folder) / file).write_text(json.dumps(schema_of(definitions, name)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], set(sys.argv[3:]))
