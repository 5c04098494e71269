"""One module for each foreign library that several places use."""
