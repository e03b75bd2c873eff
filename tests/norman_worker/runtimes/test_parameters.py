from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest

from norman_protocol.arrays import object_to_value
from norman_protocol.errors import InputInvalid, LoadFailed
from norman_protocol.signature import Modality, Parameter
from norman_worker.runtimes.parameters import read_predict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal


def described(predict: Any) -> tuple[Parameter, ...]:
    arguments, _ = read_predict(predict)
    return arguments.parameters


def read(predict: Any, **named: Any) -> dict[str, Any]:
    arguments, _ = read_predict(predict)
    values = {name: object_to_value(value) for name, value in named.items()}
    with ExitStack() as stack:
        return arguments.read(values, stack)


def refusal(predict: Any) -> str:
    with pytest.raises(LoadFailed) as caught:
        read_predict(predict)
    return caught.value.message


def test_parameters_come_from_hints_and_defaults():
    def predict(
        image: Annotated[npt.NDArray[np.float32], "pixels"], n: int = 3, *, name: str | None = None
    ) -> str: ...

    arguments, returned = read_predict(predict)
    assert returned is str
    assert arguments.parameters == (
        Parameter(name="image", modality=Modality.TENSOR, dtype="float32", description="pixels"),
        Parameter(name="n", modality=Modality.INTEGER, required=False, default=3),
        Parameter(name="name", modality=Modality.TEXT, required=False, nullable=True),
    )


def test_default_of_none_makes_nullable():
    def predict(text: str = None): ...  # noqa: RUF013 - as people write it

    assert described(predict)[0].nullable


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        ((1, 2), [1, 2]),
        ({"a": [1.5]}, {"a": [1.5]}),
        (float("nan"), None),
        (object(), None),
        (np.zeros(3), None),
        ("x" * 5_000, None),
        ("\ud800", None),
    ],
)
def test_default_is_shown_where_json_can_show_it_briefly(default, shown):
    def predict(x: Any = default): ...

    (parameter,) = described(predict)
    assert (parameter.required, parameter.default) == (False, shown)


def test_methods_and_callables_are_read_without_self():
    class Model:
        def predict(self, text: str) -> int: ...

        @staticmethod
        def fixed(text: str) -> int: ...

        def __call__(self, text: str) -> int: ...

    for predict in (Model().predict, Model.fixed, Model(), functools.partial(Model().predict)):
        assert [parameter.name for parameter in described(predict)] == ["text"]


def test_wrapped_function_is_read_as_what_it_wraps():
    def inner(text: str) -> int: ...

    @functools.wraps(inner)
    def predict(*args, **kwargs): ...

    assert [parameter.name for parameter in described(predict)] == ["text"]


def test_function_without_hints_takes_json():
    def predict(a, b=2): ...

    assert [parameter.modality for parameter in described(predict)] == [Modality.JSON] * 2


def test_parameters_that_have_no_name_for_each_input_are_refused():
    def positional(a, /): ...

    def many(*images: str): ...

    def anything(**options: int): ...

    assert "'a' of predict is positional-only" in refusal(positional)
    assert "*images" in refusal(many)
    assert "**options" in refusal(anything)


def test_streams_and_coroutines_are_refused_clearly():
    def generator():
        yield 1

    async def coroutine(): ...

    async def async_generator():
        yield 1

    class Callable:
        def __call__(self):
            yield 1

    assert "streaming comes later" in refusal(generator)
    assert "streaming comes later" in refusal(async_generator)
    assert "streaming comes later" in refusal(Callable())
    assert "plain `def`" in refusal(coroutine)


def test_predict_that_is_no_function_is_refused():
    assert refusal(3) == "predict is a int, not a function."


def test_hint_imported_for_type_checkers_only_is_refused_clearly():
    def predict(price: Decimal): ...

    def stream() -> Iterator[str]: ...

    assert "'Decimal'" in refusal(predict)
    assert "TYPE_CHECKING" in refusal(predict)
    assert "'Iterator'" in refusal(stream)


def test_hint_that_means_nothing_is_refused_with_the_parameters_name():
    def predict(number: complex): ...

    assert refusal(predict).startswith("Parameter 'number' of predict is annotated with complex.")


def test_values_become_arguments():
    def predict(pair: tuple[int, int], text: str, scale: float = 1.0): ...

    assert read(predict, pair=[1, 2], text="a") == {"pair": (1, 2), "text": "a"}
    assert read(predict, pair=[1, 2], text="a", scale=2) == {
        "pair": (1, 2),
        "text": "a",
        "scale": 2.0,
    }


def test_null_reaches_only_those_who_take_it():
    def predict(free, items: list, maybe: list | None = None): ...

    assert read(predict, free=None, items=[], maybe=None) == {
        "free": None,
        "items": [],
        "maybe": None,
    }
    with pytest.raises(InputInvalid, match="'items' takes a list, not null"):
        read(predict, free=None, items=None)
