"""What is measured of each particle: a file for each metric, and the table of them."""
