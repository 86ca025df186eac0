"""From a recipe to a build: settings, steps, the data directory, progress shown."""
