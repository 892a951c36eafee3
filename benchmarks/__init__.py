"""The figures README quotes, each against a named peer in the same run: `make bench`."""
