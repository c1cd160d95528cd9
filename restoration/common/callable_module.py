"""Modules that can be called: `restoration.train(options)`, where `restoration.train` is a package.

A submodule replaces whatever its parent has under its name, so a function of that name would be
gone once anything below `restoration.train` is imported. So the module itself is what is called.
"""

import inspect
import sys
from types import ModuleType
from typing import Any


def make_callable(name: str, home: str, function: str) -> None:
    """Let a module be called, as a function that is imported at the first call.

    Args:
        name: of the module, which is being imported.
        home: module that holds the function.
        function: its name there.
    """

    def find() -> Any:
        from losses.extras import import_named  # not sooner: `check_losses` comes first

        return getattr(import_named(home, name), function)

    class CallableModule(ModuleType):
        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            return find()(*arguments, **keywords)

        @property
        def __signature__(self) -> inspect.Signature:  # what `inspect` and notebooks show
            return inspect.signature(find())

    sys.modules[name].__class__ = CallableModule
