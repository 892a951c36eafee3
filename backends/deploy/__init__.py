"""This checkout as a Hugging Face Space: what would be there, and putting it there."""

from backends.deploy.plan import Plan, Request, plan
from backends.deploy.space import apply, roll_back

__all__ = ["Plan", "Request", "apply", "plan", "roll_back"]
