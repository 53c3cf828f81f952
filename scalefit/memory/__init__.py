"""The associative-memory theory of transformer loss, under test (Niu et al. 2024, arXiv:2405.08707), and a rival.

Printed formulas (``convention="paper"``) stand beside what is right (``convention="exact"``); a function
that takes no convention computes what is right. The modules `zipf`, `zipf_capacity` and `zipf_stores` hold the
memory of facts under Zipf's law (Cabannes et al. 2024, arXiv:2310.02984).
"""

from __future__ import annotations

from scalefit.counting import ParameterCounts, count_parameters
from scalefit.memory.claims import claims
from scalefit.memory.energies import (
    Demircigil,
    DistanceEnergy,
    Hopfield,
    KrotovHopfield,
    ModernHopfield,
)
from scalefit.memory.evidence import check_floor, sample_entropy
from scalefit.memory.floor import Floor, loss_floor
from scalefit.memory.layered import layered_loss
from scalefit.memory.layers import (
    Trajectory,
    global_energy,
    global_energy_bounds,
    layer_energies,
    retrieve_layers,
    split_patterns,
)
from scalefit.memory.neighbours import Separation, nearest_neighbour_distances, separation
from scalefit.memory.network import Energy
from scalefit.memory.partition import (
    log_ball_integral,
    log_ball_volume,
    log_partition,
    loss,
    partition_bounds,
)
from scalefit.memory.propositions import Bounds, nearest, proposition_1, proposition_2, proposition_3
from scalefit.memory.radius import critical_radius, volume_radius
from scalefit.memory.recall import Recall, measure_capacity, measure_recall
from scalefit.memory.zipf import ZipfFacts, zipf_tail, zipf_unseen
from scalefit.memory.zipf_capacity import (
    ZipfExponents,
    storable_facts,
    tied_data_exponent,
    width_for_facts,
    zipf_exponents,
)
from scalefit.memory.zipf_stores import LinearMemory, StoreError, measure_store, predict_store, store_strengths

__all__ = [
    "Bounds",
    "Demircigil",
    "DistanceEnergy",
    "Energy",
    "Floor",
    "Hopfield",
    "KrotovHopfield",
    "LinearMemory",
    "ModernHopfield",
    "ParameterCounts",
    "Recall",
    "Separation",
    "StoreError",
    "Trajectory",
    "ZipfExponents",
    "ZipfFacts",
    "check_floor",
    "claims",
    "count_parameters",
    "critical_radius",
    "global_energy",
    "global_energy_bounds",
    "layer_energies",
    "layered_loss",
    "log_ball_integral",
    "log_ball_volume",
    "log_partition",
    "loss",
    "loss_floor",
    "measure_capacity",
    "measure_recall",
    "measure_store",
    "nearest",
    "nearest_neighbour_distances",
    "partition_bounds",
    "predict_store",
    "proposition_1",
    "proposition_2",
    "proposition_3",
    "retrieve_layers",
    "sample_entropy",
    "separation",
    "split_patterns",
    "storable_facts",
    "store_strengths",
    "tied_data_exponent",
    "volume_radius",
    "width_for_facts",
    "zipf_exponents",
    "zipf_tail",
    "zipf_unseen",
]
