"""The direction of imports: losses knows nothing of restoration; YAML and prints stay outside."""

import ast
import math
import subprocess
import sys
import time
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path.relative_to(ROOT)
    for package in ("losses", "restoration")
    for path in (ROOT / package).rglob("*.py")
)
# A package may import from its own layer and from those before it.
LAYERS = (
    ("common",),
    ("options", "archs", "data", "degradations", "metrics"),
    ("train", "evaluate", "maps", "photo", "basicsr_plugin"),
    ("compare", "masks", "opinion", "agreement"),
    ("cli",),
    ("test", "__main__", "__init__"),  # the doors; `import restoration` opens each when it is used
)
# Edge work, and the places that do it; the last part may be a folder.
EDGE = {
    "yaml": (
        "restoration/cli",
        "restoration/options/schema.py",
        "restoration/options/load.py",
        "restoration/options/parse.py",
    ),
    "argparse": ("restoration/cli", "restoration/masks/distill.py"),
}
HEAVY = (
    *("basicsr", "spandrel", "timm", "lpips", "torchvision", "huggingface_hub", "matplotlib"),
    *("jinja2", "scipy"),
)


def walk(node, top=True):
    """Every node with whether it runs when the file is imported (an `if` at the top does)."""
    yield node, top
    inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for child in ast.iter_child_nodes(node):
        yield from walk(child, top and not inside)


@cache
def nodes(file):
    return tuple(walk(ast.parse(file.read_text(encoding="utf-8"))))


def imports(path):
    """Every (absolute module name, whether it is imported when the file is) of a file."""
    for node, top in nodes(ROOT / path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = path.parts[: len(path.parts) - node.level] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield module, top
            yield from ((f"{module}.{alias.name}", top) for alias in node.names)


def layer_of(part):
    return next((n for n, names in enumerate(LAYERS) if part in names), None)


def allowed(path, places):
    return any(path.is_relative_to(place) for place in places)


every_file = pytest.mark.parametrize("path", FILES, ids=str)


@every_file
def test_losses_never_imports_restoration(path):
    if path.parts[0] == "losses":
        assert not [name for name, _ in imports(path) if name.split(".")[0] == "restoration"]


def package_of(path):
    """Package of a file of restoration, or the file itself where it lies in none."""
    return path.with_suffix("").parts[1]


def packages_imported(path):
    """Packages of restoration that a file imports, anywhere in it."""
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] == "restoration" and len(parts) > 1 and layer_of(parts[1]) is not None:
            yield parts[1]


def files_with_a_layer():
    """All of restoration but the files of `python -m`, which are the command line."""
    files = [path for path in FILES if path.parts[0] == "restoration"]
    return [path for path in files if path.name != "__main__.py" or len(path.parts) == 2]


def find_circle(graph):
    """Nodes that lead back to the first of them; none in a graph without circles."""
    done = set()

    def follow(node, way):
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in done:
            for following in sorted(graph.get(node, ())):
                if circle := follow(following, [*way, node]):
                    return circle
            done.add(node)
        return []

    return next(filter(None, (follow(node, []) for node in sorted(graph))), [])


def test_every_package_has_a_layer():
    assert {package_of(path) for path in files_with_a_layer()} == set(chain(*LAYERS))


@pytest.mark.parametrize("path", files_with_a_layer(), ids=str)
def test_imports_run_in_one_direction(path):
    layer = layer_of(package_of(path))
    for package in packages_imported(path):
        assert layer_of(package) <= layer, f"{path} imports restoration.{package}"


def test_packages_do_not_import_each_other_in_circles():
    graph = {}
    for path in files_with_a_layer():
        others = set(packages_imported(path)) - {package_of(path)}
        graph.setdefault(package_of(path), set()).update(others)
    assert not find_circle(graph)
    assert "evaluate" in graph["train"], "the graph is not empty"


def test_circles_are_found():
    assert find_circle({"a": {"b", "d"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) == []


@every_file
def test_only_the_edge_reads_yaml_and_arguments(path):
    for name, _ in imports(path):
        places = EDGE.get(name.split(".")[0])
        assert places is None or allowed(path, places), f"{path} imports {name}"


@every_file
def test_only_the_command_line_prints(path):
    if path.is_relative_to("restoration/cli"):
        return
    calls = (node.func for node, _ in nodes(ROOT / path) if isinstance(node, ast.Call))
    assert not [f.lineno for f in calls if isinstance(f, ast.Name) and f.id == "print"]


@every_file
def test_basicsr_is_a_guest(path):
    """Nothing imports it at the top, and only the two files made for it import it at all."""
    found = [(name, top) for name, top in imports(path) if name.split(".")[0] == "basicsr"]
    assert not any(top for _, top in found)
    if found:
        assert path in (
            Path("restoration/common/basicsr.py"),
            Path("restoration/basicsr_plugin.py"),
        )


@every_file
def test_spandrel_is_a_guest(path):
    """Only the file made for it imports it, when it is asked for something."""
    found = [name for name, _ in imports(path) if name.split(".")[0] == "spandrel"]
    assert not found or path == Path("restoration/archs/spandrel.py")


def test_a_fresh_import_is_light():
    code = (
        "import sys, losses\n"
        f"heavy = {HEAVY!r}\n"
        "found = [m for m in (*heavy, 'restoration') if m in sys.modules]\n"
        "assert not found, f'losses imported {found}'\n"
        "import restoration\n"
        "found = [m for m in heavy if m in sys.modules]\n"
        "assert not found, f'restoration imported {found}'\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("limit", "arguments"),
    [(0.3, ["-c", "import restoration"]), (1.0, ["-m", "restoration", "--help"])],
)
def test_the_door_opens_fast(limit, arguments):
    """Seconds of a new process, the shortest of several: other programs may run beside it."""
    shortest = math.inf
    for _ in range(8):
        began = time.perf_counter()
        subprocess.run(  # noqa: S603
            [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        )
        shortest = min(shortest, time.perf_counter() - began)
        if shortest < limit:
            return
    pytest.fail(f"{arguments} takes {shortest:.2f} s, expected less than {limit} s")


def test_the_parser_sees_what_it_should(tmp_path, monkeypatch):
    """The checks above pass on an empty list of imports too: prove that the list is not empty."""
    (tmp_path / "restoration" / "archs").mkdir(parents=True)
    file = Path("restoration/archs/x.py")
    (tmp_path / file).write_text(
        "import yaml\nfrom restoration.train import loop\nfrom .. import metrics\n"
        "def f():\n    import basicsr.data\nif True:\n    import timm\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    found = dict(imports(file))
    assert found["yaml"] and found["timm"] and found["restoration.train.loop"]
    assert found["restoration.metrics"]
    assert found["basicsr.data"] is False
    with pytest.raises(AssertionError, match="imports restoration.train"):
        test_imports_run_in_one_direction(file)
    with pytest.raises(AssertionError, match="imports yaml"):
        test_only_the_edge_reads_yaml_and_arguments(file)
