"""Checks of prompts and answers, as the operator set them: a word list, a text classifier, both, or none."""
