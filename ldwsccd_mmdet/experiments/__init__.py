"""Trainings in stages, comparisons of models, and the report on them."""
