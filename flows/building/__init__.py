"""Recipes, and what people see while a build works."""
