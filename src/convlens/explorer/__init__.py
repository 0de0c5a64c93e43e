"""The web pages: the lecture as something to touch, on one's own network and image."""
