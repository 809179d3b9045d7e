"""Good rows and bad ones, with reasons; what a file is like as a whole."""
