"""Model × System → Plan: how a model is shared out over many chips, and what that takes."""

from drawloom.plans.plan import Plan
from drawloom.plans.search import plan

__all__ = ["Plan", "plan"]
