"""A small web, made of what every Python installation carries, to try the whole way on."""
