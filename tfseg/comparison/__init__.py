"""A fair comparison of losses: a grid of networks that differ in their loss alone, and what it allows to say."""
