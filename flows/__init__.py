"""What drives a build and a training: recipes, Prefect's flow and the command line."""
