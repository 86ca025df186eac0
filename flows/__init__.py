"""Which stages run, in which order: Prefect flows, recipes and the command line."""
