"""What a campaign has found, for notebooks: tables as data frames, images as labelled arrays, single particles."""
