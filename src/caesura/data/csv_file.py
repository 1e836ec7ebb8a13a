"""CSV: what separates its columns, decimal commas, and which columns are names, not numbers.

A column of names (ids, channels, classes) is of numbers only where each cell is written as a whole
number is: 007 and 1E5 stay text, as they are. So are classes
with leading zeros.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from caesura.data.checks import check_names
from caesura.data.spelling import is_whole
from caesura.errors import DataError

log = logging.getLogger("caesura")

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_HEAD = 65_536
"""Bytes in which the first line with columns is sought."""
_COMMA = r"^\s*[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?\s*$"
_NUMBER = r"^\s*[+-]?[0-9]+(,[0-9]+)?([eE][+-]?[0-9]+)?\s*$"
_LEADING_ZERO = r"^\s*[+-]?0[0-9]+\s*$"
_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)\.0+")
_CELLS = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+): ?(.*)", re.DOTALL)


def read_csv(
    path: Path, keys: Collection[str] = (), kinds: Collection[str] | None = ()
) -> pa.Table:
    """Read a file of commas, semicolons, tabs or bars, also compressed (.gz).

    keys: columns of names, kept as they are written where not all are whole numbers. kinds: columns
    that may be numbers, and are kept as text where some have leading zeros; None: all.
    """
    read = _Reading(path, _separator(path))
    table = read.table({})
    check_names(table.schema, path)
    again = {}
    for field in table.schema:
        if field.name.strip() in keys and _is_number(field.type) | pa.types.is_temporal(field.type):
            again[field.name] = _as_written
        elif (kinds is None or field.name.strip() in kinds) and _is_number(field.type):
            again[field.name] = _without_zeros
    if again:
        texts = read.table(dict.fromkeys(again, pa.string()))
        for name, way in again.items():
            table = _put(table, name, way(texts[name], table[name]))
    table = _decimal_commas(table, read, keys)
    for name in table.column_names:
        cells = table[name]
        if not pa.types.is_string(cells.type):
            continue
        if name != name.strip() or _all_begin_blank(cells):
            cells = pc.utf8_trim_whitespace(cells)
        if kinds is None or name.strip() in {*keys, *kinds}:
            cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
        table = _put(table, name, cells)
    if read.separator != "," and path.suffix.lower() != ".tsv":
        log.warning("%s: columns are read as separated by %s", path, read.separators)
    return table.rename_columns([name.strip() for name in table.column_names])


class _Reading:
    """A file and how its columns are separated; Arrow's errors said in words."""

    def __init__(self, path: Path, separator: str) -> None:
        self.path, self.separator = path, separator
        self.separators = _SEPARATORS[separator]

    def table(self, types: dict[str, pa.DataType]) -> pa.Table:
        """Read the columns of some types, or all."""
        convert = csv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=bool(types)
        )
        parse = csv.ParseOptions(delimiter=self.separator)
        try:
            return csv.read_csv(self.path, parse_options=parse, convert_options=convert)
        except pa.ArrowInvalid as error:
            raise DataError(self._in_words(str(error))) from None

    def _in_words(self, text: str) -> str:
        cells = _CELLS.search(text)
        if cells is None:
            return f"{self.path} cannot be read as a table separated by {self.separators}: {text}"
        row = f"row {cells[1]}" if cells[1] else "a row"
        return (
            f"{self.path}: {row} has {cells[3]} cells separated by {self.separators}, the header "
            f"{cells[2]}: {cells[4][:80]!r}. Write numbers without thousands separators, text that "
            "holds a separator in quotes, and nothing above the header"
        )


def _separator(path: Path) -> str:
    """Return what makes most columns of the header; commas where none makes two."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with pa.input_stream(str(path), compression="detect") as file:
        head = file.read(_HEAD)
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff")
    line = next((one for one in text.splitlines() if one.strip()), "")
    outside = re.sub(r'"[^"]*"', "", line)
    return max(_SEPARATORS, key=lambda one: (outside.count(one), one == ","))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _as_written(texts: Any, numbers: Any) -> Any:
    """Return names as numbers where all are whole and written so, else as text."""
    cells = pc.utf8_trim_whitespace(texts)
    for text in pc.unique(cells).to_pylist():
        if text is None or is_whole(text):
            continue
        pointed = _WHOLE_FLOAT.fullmatch(text)
        if pointed is None or not is_whole(pointed[1]):
            return cells
    return numbers


def _without_zeros(texts: Any, numbers: Any) -> Any:
    """Return numbers, or text where one is written with leading zeros."""
    zeros = pc.any(pc.match_substring_regex(texts, _LEADING_ZERO)).as_py()
    return pc.utf8_trim_whitespace(texts) if zeros else numbers


def _decimal_commas(table: pa.Table, read: _Reading, keys: Collection[str]) -> pa.Table:
    """Return a table whose numbers with decimal commas are numbers.

    Between semicolons, tabs or bars alone. Numbers with points beside them are thousands, or
    decimals of another hand: they are left as text, and an error where they are used as numbers.
    """
    if read.separator == ",":
        return table
    texts = [one for one in table.column_names if pa.types.is_string(table[one].type)]
    commas = [one for one in texts if one.strip() not in keys and _has_commas(table[one])]
    if not commas:
        return table
    log.warning("%s: numbers are read with decimal commas", read.path)
    for name in commas:
        cells = pc.replace_substring(pc.utf8_trim_whitespace(table[name]), ",", ".")
        cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
        table = _put(table, name, cells.cast(pa.float64()))
    points = [one for one in table.column_names if pa.types.is_floating(table[one].type)]
    points = [one for one in points if one not in commas]
    if points:
        written = read.table(dict.fromkeys(points, pa.string()))
        for name in points:
            if pc.any(pc.match_substring(written[name], ".")).as_py():
                table = _put(table, name, written[name])
    return table


def _has_commas(texts: Any) -> bool:
    """Say whether all cells are numbers or empty, and some have a decimal comma."""
    empty = pc.equal(pc.utf8_trim_whitespace(texts), "")
    numbers = pc.or_(pc.match_substring_regex(texts, _NUMBER), empty)
    some = pc.any(pc.match_substring_regex(texts, _COMMA)).as_py()
    return bool(some and pc.all(numbers).as_py())


def _all_begin_blank(texts: Any) -> bool:
    """Say whether there are cells, and all begin with a blank: it stands behind the separator."""
    return bool(len(texts) and pc.all(pc.match_substring_regex(texts, r"^\s")).as_py())


def _put(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
