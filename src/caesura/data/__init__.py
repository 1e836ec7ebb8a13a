"""The data door: tables, arrays and files in; one ragged form, a schema and batches out."""
