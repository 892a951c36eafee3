"""Types, protocols, errors, settings and every decision that needs no I/O. Standard library only."""

__version__ = "0.1.0"
