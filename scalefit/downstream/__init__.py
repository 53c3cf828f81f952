"""Accuracy and error on tasks, from the loss: chains of two laws, and which tasks can be predicted at all."""
