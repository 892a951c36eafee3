"""Keeps what reviewers say (SQLite) and turns it into a dataset (parquet shards in a folder or on the Hub)."""
