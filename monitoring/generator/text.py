"""How the generated files are written."""

import yaml

NOTICE = "Made by `make monitoring` from the views of pool_monitor: do not edit."


class _Block(str):
    """Text of several lines, to be read as it is."""


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data):
        return True


_Dumper.add_representer(
    _Block, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", str(data), style="|")
)


def block(text):
    return _Block(text)


def comment(lines):
    return "".join(f"# {line}".rstrip() + "\n" for line in [NOTICE, *lines])


def document(head, content):
    """YAML, below a comment that says how to use it."""
    return comment(head) + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
