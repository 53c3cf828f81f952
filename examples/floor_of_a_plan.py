"""The loss floor that the associative-memory theory gives three planned runs, with what it assumes."""

import pandas as pd

import scalefit as sf

plans = pd.DataFrame(
    {"N": [124e6, 124e6, 70e9], "D": [9e9, 9e6, 1.4e12], "n_layers": [12, 12, 80], "d_emb": [768, 768, 8192]}
).assign(T_max=[1024, 1024, 2048])
table = sf.loss_floor(plans)
print(table[["N", "D", "loss_lower", "loss_at_z_upper", "regime"]].to_string(index=False))

floor = sf.loss_floor(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024)
print("\n".join(floor.assumptions))
