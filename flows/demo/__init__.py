"""A small web for trying everything, made of texts that every Python installation has."""
