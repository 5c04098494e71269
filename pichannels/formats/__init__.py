"""Formats of records: codecs, the record of a sample, and a client of registries."""
