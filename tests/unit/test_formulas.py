"""Single dollars: formulas are shown as such, and prices, code and whatever is half written stay as they are."""

from __future__ import annotations

import pytest

from components.formulas import with_formulas


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The mean $\\bar{x}$ of $n$ values", "The mean \\(\\bar{x}\\) of \\(n\\) values"),
        ("($s^2 = \\frac{1}{n-1}$).", "(\\(s^2 = \\frac{1}{n-1}\\))."),
        ("$a_1$, $a_2$ and $x + y$", "\\(a_1\\), \\(a_2\\) and \\(x + y\\)"),
        ("a lone ` before $x$", "a lone ` before \\(x\\)"),
        ("$$x^2$$ and $y^2$", "$$x^2$$ and \\(y^2\\)"),
    ],
)
def test_a_formula_between_dollars_is_one(text: str, shown: str) -> None:
    assert with_formulas(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.",
        "From $20,000 to $30,000 a year",
        "US$5 = CA$7",
        "$5-$10, or 3 $ or 4 $",
        "\\$x^2$ is escaped",
        "`$x^2$` and ``a ` $y_1$``",
        "```bash\necho $PATH_A=$b\n```",
        "~~~\n$x^2$\n~~~\nand `$x$`",
        "a $x^2 that is not closed\nand y$",
        "$$\nx^2 = 1",
        "",
    ],
)
def test_what_is_no_formula_stays_to_the_byte(text: str) -> None:
    assert with_formulas(text) == text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["$x" * 50_000, "`" * 100_000 + "$x$", "```\n$x$" * 20_000, " ".join("`" * many for many in range(1, 450)) + "$x$"],
)
def test_no_text_takes_long(text: str) -> None:
    """What a model writes is a stranger's: quadratic here would stop the page for everybody."""
    assert with_formulas(text * 2).replace("\\(x\\)", "$x$") == text * 2
