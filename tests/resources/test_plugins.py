"""Plug-ins of installed distributions: which are found, and what is said of one that cannot be used."""

import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from resources.configuration import Configuration, ConfigurationError, load_configuration
from resources.plugins import ConfigurationGroup, PluginGroup, check_plugins
from tests.plugin_distribution import install

NUMBERS, SHAPES = "tests.numbers", "tests.shapes"


class Shape(Configuration, ABC):
    """A shape."""

    kind: str

    @abstractmethod
    def area(self) -> float: ...


class Square(Configuration):
    """The kind that is built in."""

    kind: Literal["square"]


def shapes() -> ConfigurationGroup[Shape]:
    return ConfigurationGroup(SHAPES, "A shape.", Shape, frozenset({"square"}))


CIRCLE = f"""
from typing import Literal
from {__name__} import Shape
from resources.configuration import RelativePath

class Circle(Shape):
    "A circle."
    kind: Literal["circle"]
    radius: float
    drawing: RelativePath

    def area(self): return 3 * self.radius ** 2

class Endless(Shape):
    kind: Literal["endless"]
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution's module imports this one."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_a_plug_in_has_the_name_of_its_entry_point_and_the_version_of_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, {"seven": "SEVEN"}, "SEVEN = 7", group=NUMBERS, version="2.3")
    group = PluginGroup[int](NUMBERS, "A number.", int)
    assert (group.faults, group.versions, group.plugins["seven"].value) == ([], {"seven": "acme-plugins 2.3"}, 7)
    check_plugins([group])


@pytest.mark.parametrize(
    ("entry_points", "source", "fault"),
    [
        ({"seven": "SEVEN"}, "SEVEN = 'seven'", "acme_plugins:SEVEN: it has to be an object of builtins.int"),
        ({"seven": "SEVEN"}, "", "acme_plugins:SEVEN cannot be loaded: AttributeError"),
        ({"seven": "SEVEN"}, "import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ({"seven": "SEVEN"}, "raise SystemError('broken')", "cannot be loaded: SystemError: broken"),
        ({"Seven-7": "SEVEN"}, "SEVEN = 7", "may have only small letters, digits and `_`"),
        ({"eight": "SEVEN"}, "SEVEN = 7", "the name is taken"),
    ],
    ids=["another type", "not there", "import fails", "raises", "name", "taken"],
)
def test_a_plug_in_that_cannot_be_used_is_left_out_and_named_with_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_points: dict[str, str], source: str, fault: str
) -> None:
    install(tmp_path, monkeypatch, entry_points, source, group=NUMBERS)
    group = PluginGroup[int](NUMBERS, "A number.", int, frozenset({"eight"}))
    with pytest.raises(ConfigurationError) as caught:
        check_plugins([group])
    message = str(caught.value)
    assert group.plugins == {}
    assert fault in message
    assert "of the distribution acme-plugins 1.0" in message
    assert "`pip uninstall acme-plugins`" in message


def test_two_distributions_cannot_have_plug_ins_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("acme", "zenith"):
        install(tmp_path, monkeypatch, {"seven": "SEVEN"}, "SEVEN = 7", group=NUMBERS, name=name)
    group = PluginGroup[int](NUMBERS, "A number.", int)
    assert group.plugins == {}
    assert "distribution acme 1.0: zenith 1.0 has one of the same name" in group.faults[0]


@pytest.mark.parametrize(
    ("entry_point", "fault"),
    [
        ({"circle": "Circle"}, None),
        ({"oval": "Circle"}, 'the field `kind: Literal["oval"]`'),
        ({"endless": "Endless"}, "the class lacks area"),
        ({"circle": "RelativePath"}, "has to be a subclass of"),
    ],
    ids=["fits", "another name", "abstract", "no subclass"],
)
def test_a_plug_in_of_a_configuration_is_a_whole_subclass_whose_kind_is_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_point: dict[str, str], fault: str | None
) -> None:
    install(tmp_path, monkeypatch, entry_point, CIRCLE, group=SHAPES)
    faults = shapes().faults
    assert (fault is None and not faults) or (fault and fault in faults[0])


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("kind: circle\n  radius: 2\n  drawing: here", None),
        ("kind: square", None),
        (
            "kind: circle",
            "drawing: has to be given (plug-in circle of acme-plugins 1.0)",
        ),
        ("kind: circle\n  radius: 2\n  size: 1", "size: there is no such key (keys here: kind, radius, drawing)"),
        ("kind: oval", "shape: there is no kind 'oval'; kinds: square, circle (plug-in)"),
        ("kind: [circle]", "shape.kind: Input should be 'square'"),
        ("size: 1", "shape.kind: has to be given"),
    ],
)
def test_the_kind_in_a_configuration_file_chooses_the_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, fault: str | None
) -> None:
    install(tmp_path, monkeypatch, {"circle": "Circle"}, CIRCLE, group=SHAPES)

    class Drawing(Configuration):
        shape: Annotated[Square, shapes().validator]

    (tmp_path / "drawing.yaml").write_text(f"shape:\n  {given}\n")
    try:
        shape: Any = load_configuration(tmp_path / "drawing.yaml", Drawing).shape
    except ConfigurationError as error:
        assert fault is not None
        assert fault in str(error)
    else:
        assert fault is None
        assert shape.kind == "square" or (shape.area(), shape.drawing) == (12, tmp_path / "here")
