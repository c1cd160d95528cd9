"""Puts the option files into the package; all else about the distribution is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

OPTION_FILES = Path("options")
INSIDE = Path("restoration/options/files")  # where `restoration.options.shipped` finds them


class BuildWithOptionFiles(build_py):
    """Builds the packages, and copies `options/**/*.yml` into them.

    An editable install needs no copy: the folder of the source tree is found there. (A mapping in
    `package_dir` would do the same, but an editable install would then use an import hook, which
    comes second to any folder named losses where `python -m` is started.)
    """

    def _copies(self) -> dict[str, str]:
        sources = sorted(OPTION_FILES.rglob("*.yml"))
        inside = Path(self.build_lib) / INSIDE
        return {str(inside / one.relative_to(OPTION_FILES)): str(one) for one in sources}

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        for target, source in self._copies().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_source_files(self) -> list[str]:
        """Name what a source distribution needs."""
        return [*super().get_source_files(), *self._copies().values()]

    def get_output_mapping(self) -> dict[str, str]:
        """Name what was written, by where it came from."""
        return super().get_output_mapping() | ({} if self.editable_mode else self._copies())

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name what was written."""
        return [*super().get_outputs(include_bytecode), *self._copies()]


setup(cmdclass={"build_py": BuildWithOptionFiles})
