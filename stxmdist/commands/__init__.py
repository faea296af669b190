"""What a group does with a campaign, as functions that return values: faces print them, or show them in a notebook."""
