"""What a table says about a metric: heading, unit, digits, and which way is better."""

from dataclasses import dataclass

NOT_MEASURED = "-"


@dataclass(frozen=True)
class Column:
    """A metric as a column of a table.

    Args:
        label: heading for people, such as "E-MAE x100".
        higher_is_better: which way is better.
        digits: of printed values, after the point.
        unit: of the values, such as "dB", or empty.
    """

    label: str
    higher_is_better: bool
    digits: int = 4
    unit: str = ""

    @property
    def heading(self) -> str:
        """The label with an arrow to the better side."""
        return f"{self.label} {'↑' if self.higher_is_better else '↓'}"

    def text(self, value: float | None) -> str:
        """Print a value; a dash where nothing was measured."""
        return NOT_MEASURED if value is None else f"{value:.{self.digits}f}"

    def signed(self, value: float | None) -> str:
        """Print a difference of two values, with its sign and one digit more than they have."""
        if value is None:
            return NOT_MEASURED
        text = f"{value:+.{self.digits + 1}f}"
        return text.lstrip("+-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")
