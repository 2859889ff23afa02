"""The recorder, histograms and the tree of statistics. Pure: time is an argument."""
