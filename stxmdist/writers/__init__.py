"""Writers of wide-field scans in the formats of beamlines: what is written reads back as it was."""
