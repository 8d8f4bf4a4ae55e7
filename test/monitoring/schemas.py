"""schemas.py FOLDER: compares the files that no program here can read with what is known of
their forms, in schemas/; prints what is wrong, and the forms that say nothing of a file
from which something was taken away. Then how many files there were."""

import copy
import pathlib
import sys

import jsonschema
import yaml

HERE = pathlib.Path(__file__).parent / "schemas"


def content(path):
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(given, dict) and given.get("kind") == "ConfigMap":
        given["data"]["queries"] = yaml.safe_load(given["data"]["queries"])
    return given


def first_required(schema, root):
    """The path to something deep in the form that must be there."""
    schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    for name in schema.get("required", []):
        inner = schema["properties"].get(name, {})
        return [name, *first_required(inner, root)]
    if "items" in schema:
        return [0, *first_required(schema["items"], root)]
    if isinstance(schema.get("additionalProperties"), dict):
        return [None, *first_required(schema["additionalProperties"], root)]
    return []


def without(given, path):
    """A copy in which what the path leads to is missing."""
    changed = copy.deepcopy(given)
    at = changed
    steps = list(path)
    while steps and steps[-1] in (0, None):
        steps.pop()
    for step in steps[:-1]:
        at = at[next(iter(at)) if step is None else step]
    del at[steps[-1]]
    return changed


def main(folder):
    count = 0
    for path in sorted(HERE.glob("*.yml")):
        schema = yaml.safe_load(path.read_text(encoding="utf-8"))
        jsonschema.Draft7Validator.check_schema(schema)
        validator = jsonschema.Draft7Validator(schema)
        for name in schema["files"]:
            count += 1
            given = content(pathlib.Path(folder) / name)
            for error in validator.iter_errors(given):
                print(f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}")
            if validator.is_valid(without(given, first_required(schema, schema))):
                print(f"{path.name}: misses nothing")
    print(count)


if __name__ == "__main__":
    main(sys.argv[1])
