"""From a slide file to its results: survey, measure, conclude; many slides at once."""
