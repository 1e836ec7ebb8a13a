"""A store as its model reads it: observations at any times, or windows of a regular grid."""

from __future__ import annotations

from caesura.data.collate import TokenStore, tokenise_store
from caesura.data.grid import GridStore, sample_store
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore

View = TokenStore | GridStore


def view_store(store: RaggedStore, schema: Schema) -> View:
    """See a store by a schema; a store the schema cannot read is a DataError."""
    return tokenise_store(store, schema) if schema.sampling is None else sample_store(store, schema)
