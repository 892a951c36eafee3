"""Signing in: passwords, the Hub's OAuth, keys for programs, and the audit log."""
