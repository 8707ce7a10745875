"""What made a result, and how to make it again."""
