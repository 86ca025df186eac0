"""Pages out of Common Crawl, by the addresses of the links."""
