"""SDF, the text format of the ALS microscopes: grammar, header, frames."""
