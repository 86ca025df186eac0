"""From links to tokens: the steps of a build and their stages, over Arrow."""
