"""From links to WARC files and one outcome per link: frontier, politeness, fetching, archiving."""
