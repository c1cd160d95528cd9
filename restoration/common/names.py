"""Short names of option files, and the registries that users add theirs to."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from losses.naming import check_new_name, import_object, is_import_path, nearest

Item = TypeVar("Item")


class Registry(dict[str, Item], Generic[Item]):
    """Things by their short names.

    Args:
        kind: what they are, with an article, for errors: "an optimiser".
        items: those known from the beginning.
    """

    def __init__(self, kind: str, items: Mapping[str, Item]) -> None:
        super().__init__(items)
        self.kind = kind

    def register(self, name: str) -> Callable[[Item], Item]:
        """Return a decorator that gives a class or function a short name.

        Raises:
            ValueError: by the decorator, where another thing has the name.
        """

        def add(item: Item) -> Item:
            check_new_name(self.kind, name, item, self)
            self[name] = item
            return item

        return add

    def find(self, type: str) -> Item:
        """Find a thing by a short name or an import path, "package.module:Name".

        Raises:
            ValueError: there is none, with the nearest name.
        """
        if not isinstance(type, str):
            raise ValueError(f"expected the name of {self.kind}, got {type!r}")
        if is_import_path(type):
            found: Any = import_object(type)
            return found
        if type not in self:
            hint = nearest(type, self)
            raise ValueError(f"expected {self.kind} of {', '.join(self)}, got {type!r}{hint}")
        return self[type]


DATASETS: Registry[Callable[..., Any]] = Registry("a data set", {})


def register_dataset(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a data set a short name for `type` in option files; a decorator.

    What is registered is called with the `dataroot_gt` of the option file and its `arguments`, and
    returns a `restoration.data.Source` of clean images, or a `PairedSource`.
    """
    return DATASETS.register(name)
