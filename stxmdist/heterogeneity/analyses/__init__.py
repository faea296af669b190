"""What is asked of a whole campaign: a file for each analysis, and the table of them."""
