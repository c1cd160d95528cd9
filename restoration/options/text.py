"""The text of an option file: safe YAML, or JSON with comments."""

import json
import re
from typing import Any

from restoration.options.kair import explain, is_kair
from restoration.options.parse import check_depth, parse_yaml

STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')


def parse_options(text: str) -> Any:
    """Parse the text of an option file, YAML or JSON with `//` comments.

    Raises:
        ValueError: it is neither, or an option file of KAIR; then it says how the keys map.
    """
    if not text.lstrip().startswith("{"):
        return parse_yaml(text)
    try:
        content = json.loads(STRING_OR_COMMENT.sub(lambda found: found[1] or "", text))
    except (ValueError, RecursionError):
        return parse_yaml(text)  # a mapping in YAML's flow style, or too deep
    check_depth(content)
    if is_kair(content):
        raise explain(content)
    return content
