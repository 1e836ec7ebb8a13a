"""Parquet files as one table: which files of a folder are data, keys in their paths, one schema.

As Spark, Dask, DuckDB and pyarrow have it: names that begin with `_` or `.` are not data, and a
folder `id=7` is a column `id` of the files below. Files of different numeric types are read as the
wider one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from caesura.data.checks import check_names
from caesura.data.spelling import is_whole
from caesura.errors import DataError

_SUFFIXES = (".parquet", ".pq")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_parquet(source: Any) -> bool:
    """Say whether the source is a Parquet file or a folder of them."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    return path.is_dir() or (path.is_file() and path.suffix.lower() in _SUFFIXES)


def data_files(path: Path) -> list[Path]:
    """Return a file, or a folder's Parquet files in the order of their names.

    What begins with `_` or `.`, or lies in a folder that does, is left out: logs, checkpoints,
    what is still being written or was when it was killed. `_key=value` is a key.
    """
    if path.is_file():
        return [path]
    every = [file for file in path.rglob("*") if is_data(file.relative_to(path))]
    found = sorted(file for file in every if file.suffix.lower() in _SUFFIXES and file.is_file())
    if not found:
        kinds = sorted({file.suffix.lower() for file in every if file.is_file() and file.suffix})
        others = f" ({', '.join(kinds[:5])} in it)" if kinds else ""
        raise DataError(
            f"folder {path} holds no .parquet file{others}; of folders only Parquet is read: name "
            "one file, or write them as Parquet. Names that begin with _ or . are left out"
        )
    return found


def is_data(inside: Path) -> bool:
    """Say whether no part of a path, from the folder that was named on, is that of other things."""
    return not any(
        part.startswith(".") or (part.startswith("_") and "=" not in part) for part in inside.parts
    )


class ParquetFiles:
    """The files behind a path, their row groups, and the schema that all are read in.

    A column of types that cannot be one is a DataError that names it and two files.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.path, self.paths = path, data_files(path)
        try:
            self.footers = [parquet.read_metadata(file) for file in self.paths]
            schemas = [footer.schema.to_arrow_schema() for footer in self.footers]
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        for file, schema in zip(self.paths, schemas, strict=True):
            check_names(schema, file)
        keys = _Keys(path, self.paths)
        self.file_schemas = schemas
        self.schema = _keyed(_unified(self.paths, schemas), keys.types)
        self.keys = [keys.values(file) for file in self.paths]
        self.groups = [
            (number, group)
            for number, footer in enumerate(self.footers)
            for group in range(footer.num_row_groups)
        ]

    def whole(self) -> pa.Table:
        """Read all files into one table."""
        tables = [self.read(number, None, self.schema.names) for number in range(len(self.paths))]
        return pa.concat_tables(tables)

    def read(self, number: int, group: int | None, names: Sequence[str]) -> pa.Table:
        """Read columns of a file, or of one of its row groups, in the common schema."""
        from pyarrow import parquet

        path, held = self.paths[number], set(self.file_schemas[number].names)
        within = [name for name in names if name in held]
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(within) if group is None else file.read_row_group(group, within)
        footer = self.footers[number]
        rows = footer.num_rows if group is None else footer.row_group(group).num_rows
        if within:
            rows = table.num_rows
        fields = [self.schema.field(name) for name in names]
        columns = [
            _as(table[field.name], field.type)
            if field.name in held
            else _repeated(self.keys[number].get(field.name), rows, field.type)
            for field in fields
        ]
        return pa.table(columns, schema=pa.schema(fields))


class _Keys:
    """Keys in the paths of files (`id=7`), of whole numbers where all are written so."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._texts = {file: _keys_of(file.relative_to(folder)) for file in files}
        names = dict.fromkeys(name for texts in self._texts.values() for name in texts)
        self.types = {name: self._type(name) for name in names}

    def values(self, file: Path) -> dict[str, Any]:
        """Return the value of each key of a file."""
        texts = self._texts[file]
        return {
            name: None if text is None else (int(text) if self.types[name] == pa.int64() else text)
            for name, text in texts.items()
        }

    def _type(self, name: str) -> pa.DataType:
        texts = [found[name] for found in self._texts.values() if found.get(name) is not None]
        whole = texts and all(is_whole(str(text)) for text in texts)
        return pa.int64() if whole else pa.string()


def _keys_of(inside: Path) -> dict[str, str | None]:
    """Return the keys in the folders of a path, nulls as None."""
    pairs = [part.split("=", 1) for part in inside.parts[:-1] if "=" in part[1:]]
    return {unquote(name): None if text == _NULL else unquote(text) for name, text in pairs}


def _keyed(schema: pa.Schema, types: dict[str, pa.DataType]) -> pa.Schema:
    """Return a schema with the keys that are no columns of the files."""
    for name, type_ in types.items():
        if name not in schema.names:
            schema = schema.append(pa.field(name, type_))
    return schema


def _unified(paths: Sequence[Path], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return a schema that holds the columns of all files, in the order of the first."""
    if all(schema.equals(schemas[0]) for schema in schemas):
        return pa.schema([pa.field(one.name, _viewless(one.type)) for one in schemas[0]])
    known: dict[str, tuple[pa.DataType, Path]] = {}
    for path, schema in zip(paths, schemas, strict=True):
        for field in schema:
            type_, where = known.get(field.name, (field.type, path))
            known[field.name] = (_common(field.name, type_, where, field.type, path), where)
    return pa.schema([pa.field(name, _viewless(type_)) for name, (type_, _) in known.items()])


def _common(
    name: str, one: pa.DataType, where: Path, other: pa.DataType, path: Path
) -> pa.DataType:
    """Return the type that holds both."""
    if one.equals(other):
        return one
    kinds = [_decoded(one), _decoded(other)]
    if any(map(pa.types.is_timestamp, kinds)):
        kinds = [pa.timestamp("us") if pa.types.is_date(kind) else kind for kind in kinds]
    schemas = [pa.schema({name: kind}) for kind in kinds]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(name).type
    except pa.ArrowException:
        raise DataError(
            f"column {name!r} is {one} in {where} and {other} in {path}; write both as one type"
        ) from None


def _decoded(type_: pa.DataType) -> pa.DataType:
    """Return the type of a column's cells, texts as one kind of text."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return _viewless(type_)


def _viewless(type_: pa.DataType) -> pa.DataType:
    """Return a type that Arrow can filter and take."""
    if type_.equals(pa.string_view()):
        return pa.string()
    return pa.binary() if type_.equals(pa.binary_view()) else type_


def _as(column: Any, type_: pa.DataType) -> Any:
    return column if column.type.equals(type_) else column.cast(type_, safe=False)


def _repeated(value: Any, rows: int, type_: pa.DataType) -> Any:
    return pa.repeat(pa.scalar(value, type_), rows)
