"""What the text of a corpus says of its losses: bounds on its entropy, correlations, a predicted data exponent."""
