"""The catalogue: models on the Hub and on this machine, their cards and files."""
