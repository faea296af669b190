"""The report: figures and one HTML page, drawn from what is published; nothing new is computed here."""
