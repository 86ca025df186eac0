"""All that is known of the documents of a build, in numbers."""
