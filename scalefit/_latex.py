"""Tables for papers: LaTeX with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHORT = {"eps": "epsilon", "lam": "lambda"}
#: Names that are Greek letters, each with its letter; short ones are those of :data:`_SHORT`.
GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon eps zeta eta theta kappa lambda lam mu nu xi pi rho sigma tau phi chi psi "
        "omega".split(),
        "αβγδεεζηθκλλμνξπρστφχψω",
        strict=True,
    )
)


def letter_command(name: str) -> str | None:
    r"""The command by which LaTeX draws `name` as a Greek letter; None where it is not one.

    Examples
    --------
    >>> letter_command("lam"), letter_command("pi"), letter_command("N")
    ('\\lambda', '\\pi', None)
    """
    return f"\\{_SHORT.get(name, name)}" if name in GREEK else None


def escaped(text: object) -> str:
    r"""Text with what LaTeX takes for commands escaped.

    Examples
    --------
    >>> escaped("val_loss, 90 %")
    'val\\_loss, 90 \\%'
    """
    return "".join("\\" + c if c in "_&%#${}" else c for c in str(text) if c not in "\\^~")


def symbol(name: str) -> str:
    r"""A parameter's name in math: Greek letters as such, and what follows them as an index.

    Examples
    --------
    >>> symbol("alpha"), symbol("E"), symbol("A[c4]"), symbol("D_c")
    ('$\\alpha$', '$E$', '$A_{\\mathrm{c4}}$', '$D_{\\mathrm{c}}$')
    """
    base, _, series = name.partition("[")
    letter, _, index = base.partition("_")
    head = letter_command(letter) or (letter if len(letter) == 1 else f"\\mathrm{{{escaped(letter)}}}")
    below = [part for part in (index, series.rstrip("]")) if part]
    return f"${head}$" if not below else f"${head}_{{\\mathrm{{{escaped(', '.join(below))}}}}}$"


def tabular(columns: str, head: Sequence[str], *parts: Iterable[Sequence[str]]) -> str:
    r"""A table of cells that are LaTeX already; a rule stands between its parts.

    Examples
    --------
    >>> print(tabular("lr", ["", "value"], [["$E$", "1.7"]]))
    \begin{tabular}{lr}
    \toprule
     & value \\
    \midrule
    $E$ & 1.7 \\
    \bottomrule
    \end{tabular}
    """
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(head) + r" \\"]
    for part in parts:
        lines += [r"\midrule", *(" & ".join(row) + r" \\" for row in part)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
