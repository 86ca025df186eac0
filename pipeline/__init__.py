"""From links to tokens: the stages, as plain functions and frozen dataclasses over Arrow."""
