"""The nouns of the Python surface that join several rooms: training, and a run that can be used."""
