"""Scripts that tell a story, from data to an int8 model that runs."""
