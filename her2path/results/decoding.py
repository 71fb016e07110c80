"""From JSON back to values: the inverse of `to_json` for dataclasses, by their annotations."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum, IntEnum
from functools import cache
from typing import Any, Literal, Union

from pydantic import BaseModel, ValidationError

from her2path.errors import ResultsError, list_faults

__all__ = ["from_json"]


class Misfit(Exception):
    """A part of a document that does not fit its annotation."""


def from_json(kind: type, document: object, *, where: str) -> Any:  # noqa: ANN401 - `kind`
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
    value = decoded(kind, document, "$", faults)
    if faults:
        raise ResultsError(list_faults(f"{where} does not fit this version", faults))
    return value


@cache
def annotations_of(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def decoded(kind: Any, document: Any, at: str, faults: list[str]) -> Any:  # noqa: ANN401 - any type
    try:
        return fitted(kind, document, at, faults)
    except (Misfit, ValueError, TypeError, OverflowError) as error:
        faults.append(f"{at}: {error}")
        return None


def fitted(kind: Any, document: Any, at: str, faults: list[str]) -> Any:  # noqa: ANN401 - any type
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return document
    if origin in (types.UnionType, Union):
        if document is None and type(None) in arguments:
            return None
        return fitted(next(a for a in arguments if a is not type(None)), document, at, faults)
    if origin is Literal:
        if document not in arguments:
            raise Misfit(f"{document!r:.60} is none of {', '.join(map(repr, arguments))}")
        return document
    if origin is tuple:
        return tuple_of(arguments, document, at, faults)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(document, dict):
            raise Misfit(f"{document!r:.60} is no object")
        return {
            fitted(arguments[0], key, at, faults): decoded(
                arguments[1], value, f"{at}.{key}", faults
            )
            for key, value in document.items()
        }
    if issubclass(kind, Enum):
        return enum_of(kind, document)
    if issubclass(kind, BaseModel):
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise Misfit("; ".join(str(fault["msg"]) for fault in error.errors())) from error
    if dataclasses.is_dataclass(kind):
        return dataclass_of(kind, document, at, faults)
    return plain(kind, document)


def tuple_of(arguments: tuple[Any, ...], document: Any, at: str, faults: list[str]) -> Any:  # noqa: ANN401
    if not isinstance(document, list):
        raise Misfit(f"{document!r:.60} is no list")
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(document)
    if len(arguments) != len(document):
        raise Misfit(f"has {len(document)} parts, not {len(arguments)}")
    pairs = enumerate(zip(arguments, document, strict=True))
    return tuple(decoded(kind, part, f"{at}[{i}]", faults) for i, (kind, part) in pairs)


def enum_of(kind: type[Enum], document: object) -> Enum:
    for member in kind:
        # A number's enum is written by its name, as `to_json` does.
        word = member.name.lower() if issubclass(kind, IntEnum) else member.value
        if word == document:
            return member
    raise Misfit(f"{document!r:.60} is no {kind.__name__}")


def dataclass_of(kind: Any, document: Any, at: str, faults: list[str]) -> Any:  # noqa: ANN401
    if not isinstance(document, dict):
        raise Misfit(f"{document!r:.60} is no object")
    annotations = annotations_of(kind)
    known = [field for field in dataclasses.fields(kind) if field.init]
    unknown = sorted(set(document) - {field.name for field in known})
    faults.extend(f"{at}.{name}: is unknown" for name in unknown)
    values = {}
    n_faults = len(faults)
    for field in known:
        if field.name in document:
            name = field.name
            values[name] = decoded(annotations[name], document[name], f"{at}.{name}", faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"{at}.{field.name}: is missing")
    # A value made of faulty parts would only repeat their faults.
    return kind(**values) if len(faults) == n_faults else None


def plain(kind: type, document: object) -> object:
    if kind is float and isinstance(document, int | float) and not isinstance(document, bool):
        return float(document)
    if kind is float and document is None:
        return float("nan")
    if type(document) is kind:
        return document
    raise Misfit(f"{document!r:.60} is no {kind.__name__}")
