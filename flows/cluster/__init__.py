"""The items of all steps on many machines, by Dask: the only room that imports it."""
