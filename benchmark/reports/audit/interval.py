"""Arithmetic with printed numbers: a number printed as 0.42 is anything from 0.415 to 0.425."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product


@dataclass(frozen=True)
class Interval:
    """All values that print as the digits seen; `value` is the digits themselves, carried through the arithmetic."""

    low: Fraction
    high: Fraction
    value: Fraction

    def __add__(self, other):
        return Interval(self.low + other.low, self.high + other.high, self.value + other.value)

    def __sub__(self, other):
        return Interval(self.low - other.high, self.high - other.low, self.value - other.value)

    def __mul__(self, other):
        ends = [one * two for one, two in product((self.low, self.high), (other.low, other.high))]
        return Interval(min(ends), max(ends), self.value * other.value)

    def __truediv__(self, other):
        """Raises ZeroDivisionError when the divisor may be zero."""
        if other.low <= 0 <= other.high:
            raise ZeroDivisionError("the divisor may be zero within its rounding")
        return self * Interval(1 / other.high, 1 / other.low, 1 / other.value)

    def meets(self, other) -> bool:
        """Whether both can be the same value: the only way in which two printed numbers are called equal here.

        98.2 and 98.3 share the end 98.25 and nothing else, so they are different; an exact value may lie on an end.
        """
        low, high = max(self.low, other.low), min(self.high, other.high)
        return low < high or (low == high and (self.low == self.high or other.low == other.high))


def decimals(text: str) -> int:
    """Digits behind the point of a printed number: 2 for '0.42'."""
    return len(text.partition(".")[2])


def printed(text: str) -> Interval:
    """A number from its digits, half of the last digit to both sides."""
    half = Fraction(1, 2 * 10 ** decimals(text))
    return Interval(Fraction(text) - half, Fraction(text) + half, Fraction(text))


def exact(value) -> Interval:
    """A number without rounding: a count, a constant, a definition. Text or whole numbers, never floats."""
    return Interval(Fraction(value), Fraction(value), Fraction(value))


def largest(*items: Interval) -> Interval:
    return Interval(*(max(getattr(item, end) for item in items) for end in ("low", "high", "value")))


def smallest(*items: Interval) -> Interval:
    return Interval(*(min(getattr(item, end) for item in items) for end in ("low", "high", "value")))


def show(value: Fraction, places: int) -> str:
    """Decimal text of at most `places` digits behind the point, without trailing zeros."""
    scaled = round(abs(value) * 10**places)
    whole, rest = divmod(scaled, 10**places)
    text = f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".") if places else str(whole)
    return f"-{text}" if value < 0 and scaled else text
