"""Parsing of option files: safe YAML 1.1 with `1e-4` as a number, of bounded depth and size."""

import re
from typing import Any

import yaml

FLOAT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$")
DEEPEST = 40  # levels of nesting
MOST_VALUES = 100_000  # with everything that aliases repeat
PARSING = (yaml.YAMLError, ValueError, TypeError, LookupError, ArithmeticError)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-4` is a number, as YAML 1.2 has it."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a value, not too deep: what comes after it is recursive."""
        self.depth += 1
        if self.depth > DEEPEST:
            problem = f"expected at most {DEEPEST} levels of nesting, got more"
            raise yaml.constructor.ConstructorError(
                None, None, problem, self.peek_event().start_mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_document(self, node: yaml.Node) -> Any:
        """Build what the text holds, unless aliases make it too large."""
        if _count(node, {}) > MOST_VALUES:
            problem = f"expected at most {MOST_VALUES} values, aliases included, got more"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_document(node)

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


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values in a node, those that aliases repeat counted each time; none may hold itself."""
    number = id(node)
    if known.get(number) == 0:
        problem = "an alias stands inside of what it repeats"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    if number not in known:
        known[number] = 0
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        known[number] = 1 + sum(_count(part, known) for part in parts)
    return known[number]


def parse_yaml(text: str) -> Any:
    """Parse safe YAML.

    Raises:
        ValueError: the text is not YAML, is nested too deep, or too large once its aliases are
            written out.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a subclass of SafeLoader
    except PARSING as error:
        text = str(error).replace('in "<unicode string>", ', "in ")
        raise ValueError(f"not valid YAML: {' '.join(text.split())}") from error


def check_depth(value: Any, levels: int = DEEPEST) -> None:
    """Refuse mappings and lists that are nested too deep.

    Raises:
        ValueError: there are more levels.
    """
    if not levels:
        raise ValueError(f"expected at most {DEEPEST} levels of nesting, got more")
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            check_depth(one, levels - 1)
