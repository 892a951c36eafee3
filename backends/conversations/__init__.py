"""Conversations of signed-in visitors, kept on this machine."""
