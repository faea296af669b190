"""What a person writes: the campaign file and the sample sheet, checked in full before anything runs."""
