"""Options declared as fields: their domains in words, and the check of values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from steadfit._options import Option, check_options, chosen, option, options_of


@dataclass(frozen=True, kw_only=True)
class Model:
    word: str = option("one", "a word", choices=("one", "two"))
    share: float = option(0.5, "a share", low=0.0, high=1.0)
    step: float | None = option(None, "a step", above=0.0)
    count: int = option(1, "a number", low=1, command_line=False)
    plain: str = "not an option"

    def __post_init__(self) -> None:
        check_options(self)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"word": "three"}, ValueError, "Model: expected word to be one of 'one', 'two', got 'three'."),
        ({"word": None}, ValueError, "expected word to be one of 'one', 'two', got None"),
        ({"share": 1.5}, ValueError, r"Model: expected share in \[0, 1\], got 1.5."),
        ({"share": float("nan")}, ValueError, r"expected share in \[0, 1\], got nan"),
        ({"share": "much"}, TypeError, "Model: expected share to be a number, got str."),
        ({"share": True}, TypeError, "expected share to be a number, got bool"),
        ({"share": None}, TypeError, "expected share to be a number, got NoneType"),
        ({"step": 0}, ValueError, "Model: expected step > 0, got 0."),
        ({"step": float("inf")}, ValueError, "expected step > 0, got inf"),
        ({"count": 0}, ValueError, "Model: expected count >= 1, got 0."),
    ],
)
def test_values_outside_the_domain_are_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Model(**given)


def test_values_inside_are_taken() -> None:
    assert Model(word="two", share=0, step=1e-9, count=3).share == 0
    assert Model().step is None  # None is allowed where it is the default
    assert Model(plain="anything").plain == "anything"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Option("h", ("a", "b")), "one of 'a', 'b'"),
        (Option("h", low=0, high=1), "in [0, 1]"),
        (Option("h", low=2), ">= 2"),
        (Option("h", high=2), "<= 2"),
        (Option("h", above=0, high=1), "in (0, 1]"),
        (Option("h", above=0), "> 0"),
        (Option("h"), ""),
    ],
)
def test_the_domain_in_words(known: Option, words: str) -> None:
    assert known.domain == words


def test_options_are_listed_in_order_and_chosen_values_can_be_written() -> None:
    assert list(options_of(Model)) == list(options_of(Model())) == ["word", "share", "step", "count"]
    assert chosen(Model(share=0.25)) == {"word": "one", "share": 0.25, "step": None, "count": 1}
    assert not options_of(Model)["count"][1].command_line
    with pytest.raises(TypeError, match="positional"):
        Model("two")  # type: ignore[misc]  # options are keyword-only


def test_a_subclass_has_its_bases_options_and_may_narrow_them() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Narrow(Model):
        word: str = option("two", "a word", choices=("two",))

    assert list(options_of(Narrow)) == ["word", "share", "step", "count"]
    with pytest.raises(ValueError, match="Narrow: expected word to be one of 'two', got 'one'"):
        dataclasses.replace(Narrow(), word="one")
