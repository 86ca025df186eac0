"""Take what is to be forgotten out of all files, and look for it byte by byte."""
