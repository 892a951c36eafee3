"""Reusable Gradio pieces and pure formatters; no services."""
