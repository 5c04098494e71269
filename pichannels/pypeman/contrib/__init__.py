"""pypeman's modules for single protocols and formats."""
