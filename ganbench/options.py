"""A component's options, read from its signature.

Positional parameters are what the harness gives; keyword-only parameters are the component's options,
typed and bounded by their annotations and checked by pydantic before anything is built.
"""

from __future__ import annotations

import functools
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ganbench.errors import UsageError, unknown

PositiveInt = Annotated[int, Field(gt=0)]
"""An option that is a whole number of at least 1."""
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""An option that is a finite number above 0."""
NonNegativeInt = Annotated[int, Field(ge=0)]
"""An option that is a whole number of at least 0."""
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""An option that is a finite number of at least 0."""
Fraction = Annotated[float, Field(ge=0, le=1)]
"""An option between 0 and 1, both included."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""An option that is the share of the past in a running average: at least 0, below 1."""


def complain(where: str, error: ValidationError, known: Mapping[str, Any]) -> UsageError:
    """One line for the first thing that pydantic found wrong."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join([where, *path] if where else path)
    if first["type"] == "extra_forbidden":
        names = _beside(path, known)
        if not names:
            return UsageError(f"{key.rpartition('.')[0]} takes no options, not '{path[-1]}'")
        return UsageError(unknown("option", key, [f"{key.removesuffix(path[-1])}{n}" for n in names]))
    if first["type"] == "missing":
        return UsageError(f"{key} is not given: set it with --set {key}=VALUE")
    message = first["msg"][0].lower() + first["msg"][1:]
    return UsageError(f"{key}: {message} (it is {json.dumps(first['input'], default=str)})")


def _beside(path: Sequence[str], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the table in which the last key of the path stands; ``known`` are those of the first."""
    for key in path[:-1]:
        annotation = known[key].annotation if key in known else None
        models = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        known = models[0].model_fields if models else {}
    return known


@functools.cache
def option_model(component: Callable[..., Any]) -> type[BaseModel]:
    """The pydantic model of a component's keyword-only parameters.

    Raises TypeError for an option without annotation: it could not be checked.
    """
    function = component.__init__ if inspect.isclass(component) else component
    parameters = inspect.signature(component).parameters.values()
    options = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for option in options:
        if option.annotation is inspect.Parameter.empty:
            raise TypeError(f"option '{option.name}' of {component.__qualname__} has no annotation")
    # Of the options alone: another annotation may name what is imported for type checkers only.
    annotated = SimpleNamespace(__annotations__={option.name: option.annotation for option in options})
    hints = get_type_hints(annotated, getattr(function, "__globals__", {}), include_extras=True)
    fields: dict[str, Any] = {
        option.name: (hints[option.name], ... if option.default is inspect.Parameter.empty else option.default)
        for option in options
    }
    return create_model("Options", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def resolve_options(
    component: Callable[..., Any], given: Mapping[str, Any], where: str, beside: Sequence[str] = ()
) -> dict[str, Any]:
    """All options of a component with the given values in place of the defaults, as JSON values.

    ``where`` is the prefix that a user would write in ``--set``, ``beside`` what can be set there that is no
    option. Raises UsageError for an unknown key (with the nearest), a wrong type or a value out of range.
    """
    model = option_model(component)
    try:
        return model.model_validate_json(json.dumps(dict(given))).model_dump(mode="json")
    except ValidationError as error:
        raise complain(where, error, {**model.model_fields, **dict.fromkeys(beside)}) from None


def typed_options(component: Callable[..., Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Resolved options as the Python values that the component's annotations ask for."""
    validated = option_model(component).model_validate_json(json.dumps(dict(resolved)))
    return {name: getattr(validated, name) for name in type(validated).model_fields}


def parse_assignment(text: str) -> tuple[list[str], Any]:
    """``'attention.reduction=4'`` as ``(['attention', 'reduction'], 4)``.

    The value is TOML; a bare word, a date and a time are taken as strings. Raises UsageError without a key or an '='.
    """
    key, separator, value = text.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not separator or not all(path):
        raise UsageError(f"--set takes KEY=VALUE, as in --set optimizer.lr_g=1e-4, not '{text}'")
    try:
        read = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path, value.strip()
    return path, value.strip() if isinstance(read, (date, time)) else read
