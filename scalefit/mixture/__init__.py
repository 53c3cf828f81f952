"""The mixture of training domains with the lowest weighted loss, from laws of their shares."""
