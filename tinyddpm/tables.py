"""A ledger's table as text, and as HTML for a notebook."""


def as_text(rows: list[list[str]]) -> str:
    """Rows of a name and up to three numbers, in columns."""
    lines = []
    for name, *numbers in rows:
        cells = [f"{number:>{width}}" for number, width in zip(numbers, (10, 10, 11))]
        lines.append(f"{name:14}" + "".join(cells))
    return "\n".join(lines)


def as_html(rows: list[list[str]]) -> str:
    """The same table for a notebook."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
