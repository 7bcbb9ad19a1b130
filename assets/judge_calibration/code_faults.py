"""Bugs in Python code: one place of the syntax tree is changed, and the code still parses. Nothing is executed."""

import ast
import textwrap
import warnings
from collections.abc import Iterator

from assets.quality.code_blocks import is_python, python_blocks
from resources.identity import draw_one

OTHER_COMPARISONS = {
    **{ast.Lt: ">", ast.Gt: "<", ast.LtE: ">", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "=="},
    **{ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in"},
}
OTHER_OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "//"}
Edit = tuple[int, int, str]  # first byte, byte after the last, new text


def with_code_bug(text: str, *seed: str) -> str | None:
    """A text with a bug in one of its Python blocks; None where there is no code that a bug can be put into.

    Args:
        text: with fenced blocks.
        seed: names what the bug is drawn for; the same names give the same bug.
    """
    changed = [
        text.replace(block, bug, 1) for block in python_blocks(text) if (bug := with_bug(block, *seed)) is not None
    ]
    return draw_one(changed, "block", *seed) if changed else None


def with_bug(code: str, *seed: str) -> str | None:
    """Code with one comparison, operator or whole number changed; it parses and its syntax tree differs.

    Layout and comments stay. None where it does not parse, or has no such place.
    """
    if not is_python(code) or textwrap.dedent(code) != code:
        return None
    found = [bug for edit in _edits(code) if is_python(bug := _edited(code, edit)) and _differ(code, bug)]
    return draw_one(found, "bug", *seed) if found else None


def _edits(code: str) -> Iterator[Edit]:
    """Every change that may be a bug, in the order of the syntax tree."""
    lines = code.encode().splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]

    def begin(node: ast.expr) -> int:
        return starts[node.lineno - 1] + node.col_offset

    def end(node: ast.expr) -> int:
        return starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    for node in ast.walk(_parsed(code)):
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if not _names_main(node):
                # brackets around an operand lie between the two: such an edit does not parse and is left out
                yield end(left), begin(right), f" {OTHER_COMPARISONS[type(operator)]} "
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OTHER_OPERATORS:
                yield end(left), begin(right), f" {OTHER_OPERATORS[type(operator)]} "
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                yield begin(node), end(node), str(value + 1)


def _edited(code: str, edit: Edit) -> str:
    first, last, new = edit
    source = code.encode()
    return (source[:first] + new.encode() + source[last:]).decode()


def _names_main(node: ast.Compare) -> bool:
    return isinstance(node.left, ast.Name) and node.left.id == "__name__"


def _differ(code: str, other: str) -> bool:
    return ast.dump(_parsed(code)) != ast.dump(_parsed(other))


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.parse(code)
