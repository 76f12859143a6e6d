"""Change training images and their truth at random, as a function of seed and epoch."""
