"""A law's plain formula, such as ``L(N, D) = E + A N^-alpha``, as math text of matplotlib and as MathML.

One grammar, two writers. Parameters can be replaced by their values. A formula outside the grammar stays plain text.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scalefit._latex import GREEK, escaped, letter_command

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([A-Za-z]+(?:_[A-Za-z0-9_]+|\d+)?[~']?)|(.))")
_FUNCTIONS = frozenset("exp log ln lg lg2 sqrt sum min max".split())
_BETWEEN = frozenset("=:;,")


class FormulaError(ValueError):
    """The formula is outside the grammar."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One part: its kind, its text, what it holds."""

    kind: str
    text: str = ""
    parts: tuple[_Node, ...] = ()


@dataclass(slots=True)
class _Reader:
    """Recursive descent: sums of products of powers, with products written as a space."""

    tokens: list[tuple[str, str, bool]]
    at: int = 0

    def peek(self) -> tuple[str, str, bool]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "", False)

    def take(self, text: str | None = None) -> tuple[str, str, bool]:
        token = self.peek()
        if token[0] == "end" or (text is not None and token[1] != text):
            raise FormulaError(f"{token[1] or 'the end'} where {text or 'more'} belongs")
        self.at += 1
        return token

    def statement(self) -> _Node:
        parts = [self.sum()]
        while self.peek()[1] in _BETWEEN and self.peek()[0] == "sign":
            parts += [_Node("between", self.take()[1]), self.sum()]
        if self.peek()[0] != "end":
            raise FormulaError(f"{self.peek()[1]!r} was not expected")
        return _Node("row", parts=tuple(parts))

    def sum(self) -> _Node:
        parts = []
        if self.peek()[1] == "-":
            parts.append(_Node("sign", self.take()[1]))
        parts.append(self.product())
        while self.peek()[1] in ("+", "-"):
            parts += [_Node("sign", self.take()[1]), self.product()]
        return parts[0] if len(parts) == 1 else _Node("sum", parts=tuple(parts))

    def product(self) -> _Node:
        parts = [self.power()]
        while True:
            kind, text, _ = self.peek()
            if text in ("*", "/"):
                self.take()
                parts += [_Node("over" if text == "/" else "times"), self.power()]
            elif kind in ("number", "name") or text == "(":
                parts += [_Node("space"), self.power()]
            else:
                return parts[0] if len(parts) == 1 else _Node("product", parts=tuple(parts))

    def power(self) -> _Node:
        base = self.atom()
        if self.peek()[1] != "^":
            return base
        self.take()
        minus = bool(self.peek()[1] == "-" and self.take())
        above = self.power()
        return _Node("power", "-" if minus else "", (base, above))

    def atom(self) -> _Node:
        kind, text, _ = self.take()
        if kind == "number":
            return _Node("number", text)
        if kind == "name":
            _, following, spaced = self.peek()
            if text.partition("_")[0] in _FUNCTIONS:
                return _Node("function", text, (self.group() if following == "(" else self.power(),))
            return _Node("name", text) if spaced or following != "(" else _Node("call", text, (self.group(),))
        if text == "(":
            self.at -= 1
            return self.group()
        raise FormulaError(f"{text!r} was not expected")

    def group(self) -> _Node:
        self.take("(")
        parts = [self.sum()]
        while self.peek()[1] in (",", ";"):
            parts += [_Node("between", self.take()[1]), self.sum()]
        self.take(")")
        return _Node("group", parts=tuple(parts))


def _tokens(formula: str) -> Iterator[tuple[str, str, bool]]:
    for found in _TOKEN.finditer(formula.strip()):
        number, name, sign = found.groups()
        spaced = found.group().startswith(" ")
        if number:
            yield "number", number, spaced
        elif name:
            yield "name", name, spaced
        elif sign.strip():
            yield "sign", sign, spaced


def _parse(formula: str) -> _Node:
    return _Reader(list(_tokens(formula))).statement()


def number_parts(value: float, digits: int = 3) -> tuple[str, int]:
    """Mantissa and power of ten of a number as people write it; the power is 0 between 0.001 and 10,000.

    Examples
    --------
    >>> number_parts(0.34780), number_parts(482.01), number_parts(8.8e13)
    (('0.348', 0), ('482', 0), ('8.8', 13))
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{float(f'{value:.{digits}g}'):g}", 0
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    return f"{float(mantissa):g}", int(power)


@dataclass(slots=True)
class _Writer:
    """What both writers share: which names have values, and that those left of "=" keep their names."""

    values: Mapping[str, float]
    left: bool = field(default=False)

    def write(self, tree: _Node) -> str:
        self.left = any(part.text == "=" for part in tree.parts) and bool(self.values)
        return "".join(self.node(part) for part in tree.parts)

    def node(self, node: _Node) -> str:
        if node.kind == "between":
            self.left = self.left and node.text != "="
            return self.sign(node.text)
        if node.kind == "sign":
            return self.sign(node.text)
        if node.kind == "name" and self.known(node):
            return self.number(self.values[node.text], alone=False)
        if node.kind == "product":
            return self.product(node)
        if node.kind == "power":
            base, above = node.parts
            return self.raised(self.base(base), self.above(node.text, above))
        if node.kind in ("function", "call"):
            inner = node.parts[0]
            if node.text == "sqrt":
                parts = inner.parts if inner.kind == "group" else (inner,)
                return self.root("".join(map(self.node, parts)))
            return self.name(node.text) + ("" if inner.kind == "group" else self.space()) + self.node(inner)
        if node.kind == "group":
            return self.sign("(") + "".join(map(self.node, node.parts)) + self.sign(")")
        if node.kind == "name":
            return self.name(node.text)
        return self.written(node.text) if node.kind == "number" else "".join(map(self.node, node.parts))

    def written(self, text: str, alone: bool = False) -> str:
        """A number as the formula has it; one with an exponent is a power of ten, in brackets as a base."""
        mantissa, _, power = text.lower().partition("e")
        if not power:
            return self.plain(text)
        ten = self.raised(self.plain("10"), self.plain(str(int(power)).replace("-", "−")))
        shown = ten if float(mantissa) == 1 else self.plain(mantissa) + self.sign("×") + ten
        return self.sign("(") + shown + self.sign(")") if alone else shown

    def known(self, node: _Node) -> bool:
        return not self.left and node.kind == "name" and math.isfinite(self.values.get(node.text, math.nan))

    def product(self, node: _Node) -> str:
        out, parts = "", node.parts
        for i, part in enumerate(parts):
            if part.kind == "space":
                before, follows = parts[i - 1], parts[i + 1]
                first = follows.parts[0] if follows.kind == "power" else follows
                numbers = (self.known(before) or before.kind == "number") and self.known(first)
                out += self.sign("×") if numbers else self.space()
            else:
                out += {"over": self.sign("/"), "times": self.sign("×")}.get(part.kind) or self.node(part)
        return out

    def base(self, node: _Node) -> str:
        if node.kind == "number":
            return self.written(node.text, alone=True)
        return self.number(self.values[node.text], alone=True) if self.known(node) else self.node(node)

    def above(self, sign: str, node: _Node) -> str:
        if self.known(node):  # the sign and the value are one number
            return self.number(-self.values[node.text] if sign else self.values[node.text], exponent=True)
        inner = node.parts if node.kind == "group" and not sign else (node,)
        return (self.sign("-") if sign else "") + "".join(map(self.node, inner))

    def number(self, value: float, alone: bool = False, exponent: bool = False) -> str:
        mantissa, power = number_parts(value)
        shown = self.plain(mantissa.replace("-", "−"))
        if power:
            shown += self.sign("×") + self.raised(self.plain("10"), self.plain(str(power).replace("-", "−")))
        wrapped = (value < 0 or bool(power and alone)) and not exponent
        return self.sign("(") + shown + self.sign(")") if wrapped else shown

    def sign(self, text: str) -> str:
        raise NotImplementedError

    def plain(self, text: str) -> str:
        raise NotImplementedError

    def name(self, text: str) -> str:
        raise NotImplementedError

    def space(self) -> str:
        raise NotImplementedError

    def raised(self, base: str, above: str) -> str:
        raise NotImplementedError

    def root(self, inside: str) -> str:
        raise NotImplementedError


def _split(name: str) -> tuple[str, str, str]:
    """Letter, index and mark of a name: A1, N_c, D', L~."""
    mark = name[-1] if name[-1] in "~'" else ""
    found = re.fullmatch(r"([A-Za-z]+?)(?:_(\w+)|(\d+))?", name.removesuffix(mark))
    return (found[1], found[2] or found[3] or "", mark) if found else (name, "", "")


class _MathText(_Writer):
    """For matplotlib."""

    def sign(self, text: str) -> str:
        return {"×": r" \times ", "=": " = ", "/": " / ", ":": r"\!:\ ", ";": r";\ ", ",": r",\ "}.get(text, text)

    def plain(self, text: str) -> str:
        return text.replace("−", "-")

    def name(self, text: str) -> str:
        letter, index, mark = _split(text)
        if letter in _FUNCTIONS:
            head = {"sum": r"\sum", "lg": r"\mathrm{lg}"}.get(letter, rf"\{letter}")
        else:
            head = letter_command(letter) or (letter if len(letter) == 1 else f"\\mathrm{{{letter}}}")
        head = rf"\tilde{{{head}}}" if mark == "~" else head + mark
        below = letter_command(index) or rf"\mathrm{{{escaped(index)}}}"
        return f"{head}_{{{below}}}" if index else f"{head} " if head[0] == "\\" else head

    def space(self) -> str:
        return r"\,"

    def raised(self, base: str, above: str) -> str:
        return f"{base.rstrip()}^{{{above}}}"

    def root(self, inside: str) -> str:
        return rf"\sqrt{{{inside}}}"


class _MathML(_Writer):
    """For browsers, which draw it without script or font."""

    def sign(self, text: str) -> str:
        tight = ' stretchy="false"' if text in "()" else ""
        return f"<mo{tight}>{html.escape(text.replace('-', '−'))}</mo>"

    def plain(self, text: str) -> str:
        return f"<mn>{text}</mn>"

    def name(self, text: str) -> str:
        letter, index, mark = _split(text)
        head = f"<mi>{GREEK.get(letter, html.escape(letter))}</mi>"
        if letter == "sum":
            head = "<mo>∑</mo>"
        if mark:
            head = f"<mover>{head}<mo>~</mo></mover>" if mark == "~" else f"<mrow>{head}<mo>′</mo></mrow>"
        below = f"<mi>{GREEK.get(index, html.escape(index))}</mi>"
        return f"<msub>{head}{below}</msub>" if index else head

    def space(self) -> str:
        return '<mspace width="0.17em"/>'

    def raised(self, base: str, above: str) -> str:
        return f"<msup><mrow>{base}</mrow><mrow>{above}</mrow></msup>"

    def root(self, inside: str) -> str:
        return f"<msqrt>{inside}</msqrt>"


def math_text(formula: str, values: Mapping[str, float] | None = None) -> str:
    r"""A formula as matplotlib draws it, with the values of its parameters in place of their names.

    Examples
    --------
    >>> math_text("L(N, D) = E + A N^-alpha")
    '$L(N,\\ D) = E+A\\,N^{-\\alpha }$'
    >>> math_text("L(N, D) = E + A N^-alpha", {"E": 1.817, "A": 482.01, "alpha": 0.3478})
    '$L(N,\\ D) = 1.82+482\\,N^{-0.348}$'
    """
    try:
        return f"${_MathText(values or {}).write(_parse(formula))}$"
    except FormulaError:
        return escaped(formula) if "$" in formula else formula


def math_ml(formula: str, values: Mapping[str, float] | None = None) -> str:
    """A formula as MathML, safe to stand in a page; text outside the grammar is escaped and stays as it is.

    Examples
    --------
    >>> print(math_ml("a^2"))
    <math><msup><mrow><mi>a</mi></mrow><mrow><mn>2</mn></mrow></msup></math>
    >>> math_ml("no <formula>")
    'no &lt;formula&gt;'
    """
    try:
        return f"<math>{_MathML(values or {}).write(_parse(formula))}</math>"
    except FormulaError:
        return html.escape(formula)
