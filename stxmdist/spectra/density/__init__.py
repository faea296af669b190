"""From counts to optical density: the incident beam, what a detector adds, and the noise that is left."""
