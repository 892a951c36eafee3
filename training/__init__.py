"""Trains and judges the bundled image model. Nothing in the app imports this package."""
