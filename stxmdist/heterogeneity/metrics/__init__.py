"""What is inferred of heterogeneity: a file for each metric, and the table of them."""
