"""From links to WARC files and one outcome a link: frontier, politeness, fetching, archiving."""
