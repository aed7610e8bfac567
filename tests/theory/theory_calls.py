"""Sound calls of `rnnsim.theory`: which parameters are of another kind than usual, and values."""

THEORY = {
    "aicher_decay_rate": ({"log_norms": "logs"}, {"log_norms": [0.0, -1.0], "tau": 0}),
    "aicher_log_bound": (
        {"log_norms": "logs", "windows": "windows"},
        {"log_norms": [0.0, -1.0], "windows": [1], "tau": 0, "log_M": 0.0},
    ),
    "chrono_log_norm": ({"lags": "real array"}, {"chrono": 9.0, "lags": [1.0]}),
    "chrono_time_scale": ({}, {"chrono": 9.0, "fraction": 0.5}),
    "gate_log_norm": (
        {"forget_bias": "real array", "lags": "real array"},
        {"forget_bias": 1.0, "lags": [1.0]},
    ),
    "circular_law_fraction": (
        {"radius": "real array", "gain": "real array"},
        {"radius": 0.5, "gain": 1.0},
    ),
    "circular_law_log_moduli": ({"gain": "real array"}, {"n_hidden": 2, "gain": 1.0}),
    "critical_gain": ({}, {}),
    "critical_gain_at_rest": ({"forget_bias": "real array"}, {"cell": "gru"}),
    "critical_input_variance": ({"gain": "real array"}, {"gain": 1.5}),
    "effective_gain": ({"gain": "real array"}, {"scheme": "gaussian", "gain": 1.0}),
    "mean_field": ({"gain": "real array"}, {"gain": 1.5}),
    "newman_exponents": ({"gain": "real array"}, {"n": 2}),
    "newman_variances": ({}, {"n": 2}),
    "pascanu_critical_gain": ({}, {"scheme": "gaussian"}),
    "pascanu_log_bound": ({"lags": "real array"}, {"spectral_norm": 0.5, "lags": [1.0]}),
    "pascanu_vanishes": ({}, {"spectral_norm": 0.5}),
    "singular_value_density": ({"gain": "real array"}, {"value": 0.5, "gain": 1.0}),
    "singular_value_edge": ({"gain": "real array"}, {"gain": 1.0}),
    "singular_value_fraction": ({"gain": "real array"}, {"value": 0.5, "gain": 1.0}),
    "singular_value_quantile": ({"gain": "real array"}, {"fraction": 0.5, "gain": 1.0}),
    "spectral_radius": ({"gain": "real array"}, {"scheme": "gaussian", "gain": 1.0}),
    "stack_log_norm": (
        {"rate": "real array", "distance": "real array", "lags": "real array"},
        {"rate": -1.0, "distance": 1.0, "lags": [1.0]},
    ),
}
