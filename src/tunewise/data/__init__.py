"""From the user's file to a sealed test set."""
