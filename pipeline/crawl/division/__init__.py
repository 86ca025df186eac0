"""One crawl divided among the workers of a runner."""
