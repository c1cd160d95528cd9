"""The text of an option file: safe YAML, or JSON with comments."""

import json
import re
from typing import Any

import yaml

from restoration.options.kair import explain, is_kair

FLOAT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$")
STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-4` is a number, as YAML 1.2 has it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; a key that stands twice is an error, not the last one's win."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"the key `{key.value}` stands twice in one mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """Parse safe YAML. Raises ValueError where the text is not YAML."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from error


def parse_options(text: str) -> Any:
    """Parse the text of an option file, YAML or JSON with `//` comments.

    Raises:
        ValueError: it is neither, or an option file of KAIR; then it says how the keys map.
    """
    if not text.lstrip().startswith("{"):
        return parse_yaml(text)
    try:
        content = json.loads(STRING_OR_COMMENT.sub(lambda found: found[1] or "", text))
    except json.JSONDecodeError:
        return parse_yaml(text)  # a mapping in YAML's flow style
    if is_kair(content):
        raise explain(content)
    return content
