"""From JSON back to values: the inverse of `to_json` for dataclasses, by their annotations.

A record of a large slide has hundreds of thousands of values. So an annotation is looked at once,
and becomes a function that fits documents to it.
"""

# Documents and values are of any type here.
# ruff: noqa: ANN401

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from functools import cache
from typing import Any, Literal, Union

from pydantic import BaseModel, ValidationError

from her2path.errors import ResultsError, list_faults

__all__ = ["from_json"]


# Where in a document: names in objects and numbers in lists, from its top; spelled for faults only.
Place = tuple[str | int, ...]
# Fits a document to a type: the document, where it is, and the list that its faults go to.
Fitter = Callable[[Any, Place, list[str]], Any]


class Misfit(Exception):
    """A part of a document that does not fit its annotation."""


def from_json(kind: type, document: object, *, where: str) -> Any:
    """Return the value of type `kind` that `to_json` made the document from.

    Parameters
    ----------
    kind : type
        A dataclass of dataclasses, enums, tuples, mappings, pydantic models and plain values.
    document : object
        As read from JSON.
    where : str
        What the document is, for the error message.

    Raises
    ------
    ResultsError
        If the document does not fit; all faults are listed with where they are.
    """
    faults: list[str] = []
    value = decoded(fitter_of(kind), document, (), faults)
    if faults:
        raise ResultsError(list_faults(f"{where} does not fit this version", faults))
    return value


def decoded(fit: Fitter, document: Any, at: Place, faults: list[str]) -> Any:
    try:
        return fit(document, at, faults)
    except (Misfit, ValueError, TypeError, OverflowError) as error:
        faults.append(f"{spelled(at)}: {error}")
        return None


def spelled(at: Place) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)


@cache
def fitter_of(kind: Any) -> Fitter:
    """Return what fits documents to a type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda document, _at, _faults: document
    if origin in (types.UnionType, Union):
        return union_fitter(arguments)
    if origin is Literal:
        return literal_fitter(arguments)
    if origin is tuple:
        return tuple_fitter(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return mapping_fitter(*arguments)
    if issubclass(kind, Enum):
        return enum_fitter(kind)
    if issubclass(kind, BaseModel):
        return model_fitter(kind)
    if dataclasses.is_dataclass(kind):
        return dataclass_fitter(kind)
    return plain_fitter(kind)


def union_fitter(arguments: tuple[Any, ...]) -> Fitter:
    is_none_allowed = type(None) in arguments
    other = fitter_of(next(kind for kind in arguments if kind is not type(None)))

    def fit(document: Any, at: Place, faults: list[str]) -> Any:
        if document is None and is_none_allowed:
            return None
        return other(document, at, faults)

    return fit


def literal_fitter(arguments: tuple[Any, ...]) -> Fitter:
    def fit(document: Any, _at: Place, _faults: list[str]) -> Any:
        if document not in arguments:
            raise Misfit(f"{document!r:.60} is none of {', '.join(map(repr, arguments))}")
        return document

    return fit


def tuple_fitter(arguments: tuple[Any, ...]) -> Fitter:
    is_of_any_length = arguments[-1] is Ellipsis
    fitters = [fitter_of(kind) for kind in arguments if kind is not Ellipsis]

    def fit(document: Any, at: Place, faults: list[str]) -> tuple[Any, ...]:
        if not isinstance(document, list):
            raise Misfit(f"{document!r:.60} is no list")
        fits = fitters * len(document) if is_of_any_length else fitters
        if len(fits) != len(document):
            raise Misfit(f"has {len(document)} parts, not {len(fits)}")
        parts = enumerate(zip(fits, document, strict=True))
        return tuple([decoded(one, part, (*at, i), faults) for i, (one, part) in parts])

    return fit


def mapping_fitter(key_kind: Any, value_kind: Any) -> Fitter:
    fit_key, fit_value = fitter_of(key_kind), fitter_of(value_kind)

    def fit(document: Any, at: Place, faults: list[str]) -> dict[Any, Any]:
        return {
            fit_key(key, at, faults): decoded(fit_value, value, (*at, key), faults)
            for key, value in as_object(document).items()
        }

    return fit


def enum_fitter(kind: type[Enum]) -> Fitter:
    # A number's enum is written by its name, as `to_json` does.
    is_number = issubclass(kind, IntEnum)
    members = {member.name.lower() if is_number else member.value: member for member in kind}

    def fit(document: Any, _at: Place, _faults: list[str]) -> Enum:
        # What cannot be a key, a list or an object, is no member either.
        if not isinstance(document, str) or document not in members:
            raise Misfit(f"{document!r:.60} is no {kind.__name__}")
        return members[document]

    return fit


def model_fitter(kind: type[BaseModel]) -> Fitter:
    def fit(document: Any, _at: Place, _faults: list[str]) -> BaseModel:
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise Misfit("; ".join(str(fault["msg"]) for fault in error.errors())) from error

    return fit


def dataclass_fitter(kind: Any) -> Fitter:
    annotations = typing.get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    fitters = {field.name: fitter_of(annotations[field.name]) for field in fields}
    needed = [field.name for field in fields if is_needed(field)]

    def fit(document: Any, at: Place, faults: list[str]) -> Any:
        n_faults = len(faults)
        values = {}
        for name, value in as_object(document).items():
            if name in fitters:
                values[name] = decoded(fitters[name], value, (*at, name), faults)
            else:
                faults.append(f"{spelled((*at, name))}: is unknown")
        missing = [name for name in needed if name not in values]
        faults.extend(f"{spelled((*at, name))}: is missing" for name in missing)
        # A value made of faulty parts would only repeat their faults.
        return kind(**values) if len(faults) == n_faults else None

    return fit


def is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def as_object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Misfit(f"{document!r:.60} is no object")
    return document


def plain_fitter(kind: type) -> Fitter:
    def fit(document: Any, _at: Place, _faults: list[str]) -> Any:
        if type(document) is kind:
            return document
        if kind is float and document is None:
            return math.nan
        if kind is float and type(document) is int:
            return float(document)
        raise Misfit(f"{document!r:.60} is no {kind.__name__}")

    return fit
