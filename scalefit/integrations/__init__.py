"""Adapters to the tools in which people train; nothing in scalefit imports them."""
