"""Typed, strict options in BasicSR's YAML dialect: the schema, and the reading of files."""
