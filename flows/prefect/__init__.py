"""The build as a Prefect flow, and the server that shows it."""
