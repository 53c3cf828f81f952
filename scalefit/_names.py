"""Names that columns usually have, most trusted first: one list for tables and for the inputs that laws declare.

They are compared in lower case, with every other sign read as ``_``.
"""

from __future__ import annotations

#: Of counts of parameters that leave the embeddings out.
NON_EMBEDDING_NAMES = (
    "n_non_embedding non_embedding_params n_params_non_embedding params_non_embedding params_no_embed "
    "n_nonembed n_nonemb n_non_emb non_embedding_parameters non_embedding n_kaplan"
).split()

#: Of what tables hold: N, D, C, the loss, and what tells runs apart.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "N": (
        *"n_params n_total params_total n_parameters num_params num_parameters nparams params".split(),
        *"parameters total_params total_parameters n_params_total model_size model_params".split(),
        *"param_count params_count parameter_count params_n num_trainable_parameters size n".split(),
    ),
    "D": (
        *"n_tokens num_tokens tokens training_tokens train_tokens tokens_d total_tokens".split(),
        *"tokens_seen n_train_tokens num_train_tokens num_training_tokens consumed_tokens".split(),
        *"trained_tokens tokens_trained token_count dataset_size data_size dataset_tokens d_tokens".split(),
        *"d_target target_tokens data d".split(),
    ),
    "C": (
        *"training_flops training_flop train_flops train_flop total_flops total_flos flops flop".split(),
        *"training_compute train_compute compute flop_budget flops_budget compute_budget budget".split(),
        *"compute_flops compute_flop train_flops_reported c_flops c".split(),
    ),
    "loss": (
        *"loss val_loss validation_loss valid_loss eval_loss test_loss final_val_loss final_loss".split(),
        *"validation_lm_loss lm_loss eval_lm_loss heldout_loss loss_val loss_final final_eval_loss".split(),
        *"cross_entropy ce_loss nll loss_nats val_nll train_loss training_loss final_train_loss".split(),
        *"smooth_loss smoothed_loss loss_smooth loss_smoothed".split(),
    ),
    "series": ("series",),
    "unique_tokens": tuple("unique_tokens n_unique_tokens unique_tokens_u d_unique u unique_data".split()),
    "weight": ("weight", "weights"),
    "status": tuple("status run_status state run_state".split()),
}
#: What only some laws read, looked for under these names where such a law asks for it.
SHAPE_NAMES: dict[str, tuple[str, ...]] = {
    "n_layers": tuple("n_layers n_layer num_layers num_hidden_layers layers depth".split()),
    "d_emb": tuple("d_emb d_model n_embd emb_dim embedding_dim hidden_size hidden_dim width".split()),
    "T_max": (
        *"t_max context context_length context_size ctx n_ctx ctx_len block_size".split(),
        *"seq_len sequence_length seq_length max_seq_len max_position_embeddings".split(),
    ),
}
#: The number of different tokens, which times the width is the size of an embedding.
VOCABULARY_NAMES = tuple("vocab_size n_vocab vocabulary_size vocab vocabulary".split())
