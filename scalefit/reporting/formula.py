"""A law's loss as JavaScript, so that a page computes what Python computes, for any law and with none written twice.

Only arithmetic on the law's own arguments is translated: assignments, operators, and numpy's elementary functions,
under np.errstate too. Anything else is refused by name, and the page then says so in place of its planner.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit.errors import ArgumentError
from scalefit.laws._base import Law

_FUNCTIONS = {
    name: f"Math.{script}"
    for name, script in {
        "exp": "exp",
        "log": "log",
        "log2": "log2",
        "log10": "log10",
        "log1p": "log1p",
        "expm1": "expm1",
        "sqrt": "sqrt",
        "abs": "abs",
        "minimum": "min",
        "maximum": "max",
        "power": "pow",
    }.items()
}
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def script_of(law: type[Law]) -> str:
    """Return the law's loss as a JavaScript function of one number an argument.

    Parameters
    ----------
    law : type of Law
        A law; its source must be available.

    Returns
    -------
    str
        ``function (inputs..., parameters...) { ... }``, each name with an underscore behind it, which keeps it clear
        of the language's own words.

    Raises
    ------
    ArgumentError
        The loss uses something that is not arithmetic, or its source is not available.

    Examples
    --------
    >>> import scalefit as sf
    >>> print(script_of(sf.laws.get("chinchilla")))
    function (N_, D_, E_, A_, alpha_, B_, beta_) {
      return ((E_ + (A_ * Math.pow(N_, (-alpha_)))) + (B_ * Math.pow(D_, (-beta_))));
    }
    """
    return _function(law, law.loss)


def _function(law: type[Law], of: Callable[..., Any]) -> str:
    """A function of numbers as JavaScript: a law's loss, or a part of it that stands beside the law."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    except (OSError, TypeError, SyntaxError) as error:
        raise ArgumentError(
            f"The source of law {law.name} is not available", "no planner was made", "Ask sf.plan"
        ) from error
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    names = tuple(inspect.signature(of).parameters)
    outside = inspect.getclosurevars(of)
    writer = _Writer(law, set(names), {**outside.globals, **outside.nonlocals})
    lines = [line for statement in function.body for line in writer.statement(statement)]
    return f"function ({', '.join(f'{name}_' for name in names)}) {{\n" + "".join(f"  {x}\n" for x in lines) + "}"


def _is_errstate(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func) == "np.errstate"


class _Writer:
    """Writes the statements of one function; knows its names, and the constants around it."""

    def __init__(self, law: type[Law], names: set[str], outside: Mapping[str, Any]) -> None:
        self.law, self.names, self.outside = law, names, outside

    def statement(self, node: ast.stmt) -> list[str]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return []  # the docstring
        if isinstance(node, ast.With) and all(_is_errstate(item) for item in node.items):
            return [line for inner in node.body for line in self.statement(inner)]  # JavaScript has no such warnings
        if isinstance(node, ast.Return) and node.value is not None:
            return [f"return {self.value(node.value)};"]
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            if all(isinstance(name, ast.Name) for name, _ in pairs):
                written = [(name.id, self.value(item)) for name, item in pairs if isinstance(name, ast.Name)]
                taken = {name for name, _ in written} & self.names
                if not taken:
                    self.names |= {name for name, _ in written}
                    return [f"const {name}_ = {item};" for name, item in written]
        raise self.refusal(node)

    def value(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return repr(float(node.value))
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return f"(-{self.value(node.operand)})"
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left), self.value(node.right)
            if isinstance(node.op, ast.Pow):
                return f"Math.pow({left}, {right})"
            if type(node.op) in _OPERATORS:
                return f"({left} {_OPERATORS[type(node.op)]} {right})"
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            sign = _COMPARISONS[type(node.ops[0])]
            return f"({self.value(node.left)} {sign} {self.value(node.comparators[0])})"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("np.pi", "np.e"):
            return repr(float(getattr(np, node.attr)))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "cls":
            return self.number(inspect.getattr_static(self.law, node.attr, None), node)
        if isinstance(node, ast.Call) and not node.keywords:
            called, arguments = ast.unparse(node.func), [self.value(argument) for argument in node.args]
            name = called.removeprefix("np.")
            if called.startswith("np.") and name in _FUNCTIONS:
                return f"{_FUNCTIONS[name]}({', '.join(arguments)})"
            if called == "np.real" and len(arguments) == 1:
                return arguments[0]  # a page knows no other numbers
            if inspect.isfunction(self.outside.get(called)):  # a part that several laws share
                return f"({_function(self.law, self.outside[called])})({', '.join(arguments)})"
            if called == "np.where" and len(arguments) == 3:
                return "({} ? {} : {})".format(*arguments)
        raise self.refusal(node)

    def name(self, node: ast.Name) -> str:
        if node.id in self.names:
            return f"{node.id}_"
        return self.number(self.outside.get(node.id), node)

    def number(self, constant: object, node: ast.expr) -> str:
        """A constant around the function: a number of the module or of the law's class."""
        if isinstance(constant, int | float) and np.isfinite(constant):
            return repr(float(constant))
        raise self.refusal(node)

    def refusal(self, node: ast.AST) -> ArgumentError:
        return ArgumentError(
            f"Law {self.law.name} computes {ast.unparse(node).splitlines()[0]!r}, which this page cannot do by itself",
            "no planner was made",
            "Write its loss with operators and np.exp, np.log and the like, or ask sf.plan",
        )
