"""Options as the models declare them, read from their source, so that ``--help`` needs no torch.

A noise model, an output or the settings declare an option once, as a field made by :func:`steadfit._options.option`.
The command line reads these declarations without importing their modules, whose dependencies take a second or two,
which is too long to wait for a help text. A test compares what is read here with the imported classes.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from steadfit._options import Option

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Declared:
    """An option as it is declared in the source.

    Args:
        name: the name of the field.
        type: its annotation, such as ``"float | None"``.
        default: its default.
        option: its help and domain.
    """

    name: str
    type: str
    default: Any
    option: Option


@dataclass(frozen=True)
class Source:
    """A module of the package: its tree, its constants, its classes.

    Args:
        tree: the parsed module.
    """

    tree: ast.Module

    @classmethod
    @cache
    def of(cls, module: str) -> Source:
        """The module of that dotted name below ``steadfit``, such as ``"noise.gum"``."""
        path = ROOT.joinpath(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return cls(ast.parse(file.read_text(encoding="utf-8")))

    def __hash__(self) -> int:
        return id(self.tree)

    def constant(self, name: str) -> Any:
        """The value of a module-level constant made of literals, other constants, and the keys of tables.

        Args:
            name: the name of the constant.

        Raises:
            KeyError: there is none of that name.
        """
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    return self.value(node.value)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return Source.of(str(node.module).removeprefix("steadfit.")).constant(alias.name)
        raise KeyError(name)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression: for a table (a dict) its keys, None for what cannot be read."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.constant(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self._module(node.value.id).constant(node.attr)
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(item for element in node.elts for item in self._items(element))
        if isinstance(node, ast.Dict):
            return tuple(self.value(key) for key in node.keys if key is not None)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self.value(node.operand)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tuple":
            return tuple(self.value(node.args[0]))
        return None

    def _module(self, name: str) -> Source:
        """The module that is imported under this name."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
                return Source.of(f"{node.module}.{name}".removeprefix("steadfit."))
        raise KeyError(name)

    def _items(self, node: ast.expr) -> tuple[Any, ...]:
        return tuple(self.value(node.value)) if isinstance(node, ast.Starred) else (self.value(node),)

    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes that the module defines, by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}


def modules(package: str) -> list[Source]:
    """The modules of a package below ``steadfit``, in the order of their names."""
    return [Source.of(f"{package}.{path.stem}") for path in sorted((ROOT / package).glob("*.py"))]


@cache
def models(package: str) -> dict[str, dict[str, Declared]]:
    """The classes of a package that have a ``name``, and the options of each, inherited ones first.

    Args:
        package: a package below ``steadfit``.

    >>> list(models("outputs")["heatmaps"])
    ['loss', 'gamma', 'margin', 'decoding', 'sigma']
    """
    found = {name: (node, source) for source in modules(package) for name, node in source.classes().items()}
    named = {str(_name(node)): options(name, found) for name, (node, _) in found.items() if _name(node)}
    return dict(sorted(named.items()))


def options(name: str, classes: dict[str, tuple[ast.ClassDef, Source]]) -> dict[str, Declared]:
    """The options of a class: those of its bases, then its own.

    Args:
        name: the name of the class.
        classes: the classes among which its bases are looked up, with their modules.
    """
    if name not in classes:
        return {}
    node, source = classes[name]
    result: dict[str, Declared] = {}
    for base in node.bases:
        result |= options(ast.unparse(base), classes)
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_option(field.value):
            result[field.target.id] = _declared(field, source)
    return result


def _is_option(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option"


def _declared(field: ast.AnnAssign, source: Source) -> Declared:
    call = field.value
    assert isinstance(call, ast.Call)
    assert isinstance(field.target, ast.Name)
    default, help = (source.value(argument) for argument in call.args)
    given = {keyword.arg: source.value(keyword.value) for keyword in call.keywords if keyword.arg}
    given.pop("kw_only", None)
    return Declared(field.target.id, ast.unparse(field.annotation), default, Option(help, **given))


def _name(node: ast.ClassDef) -> str | None:
    """The value of a class's ``name: ClassVar[str] = "…"``; None without one."""
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == "name":
            value = field.value
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return None


@dataclass(frozen=True)
class Format:
    """A format of annotations, as its module declares it.

    Args:
        name: by which it is chosen.
        title: by which its users know it.
        writes: whether it is written, too.
        original: whether its reader was tested with files that its own tool or authors wrote.
    """

    name: str
    title: str
    writes: bool
    original: bool


@cache
def formats() -> tuple[Format, ...]:
    """The formats of annotations of points, in the order of their names.

    >>> [one.title for one in formats() if one.name == "coco"]
    ['COCO keypoints (JSON)']
    """
    found = []
    for path in sorted((ROOT / "data" / "formats").glob("*.py")):
        if "ABOUT = About(" not in path.read_text(encoding="utf-8"):
            continue
        source = Source.of(f"data.formats.{path.stem}")
        for node in source.tree.body:
            named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ABOUT"
            if named and isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                facts = {one.arg: source.value(one.value) for one in node.value.keywords}
                original = facts.get("sample", "original") == "original"
                found.append(Format(source.constant("NAME"), facts["title"], facts.get("writes", False), original))
    return tuple(sorted(found, key=lambda one: one.name))
