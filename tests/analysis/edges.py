"""Datasets of analyses at their edges: one network, none that is known, nothing left, all solved.

Each edge takes the datasets of a run and returns others that a run might have had.
"""

import numpy as np

# Of W_hh or of data alone: finite whatever networks do.
OF_OTHERS = (
    "spectral_radius spectral_norm singular_values eigenvalues henrici henrici_relative "
    "numerical_radius numerical_abscissa kreiss eigenbasis_condition participation "
    "log_power_norm peak peak_lag log_kreiss log_sigma_min loss_steps"
).split()


def as_computed(datasets):
    return datasets


def first_of(*axes):
    """One network, one gain, one length ... alone."""

    def edge(datasets):
        return {
            name: data.isel({axis: [0] for axis in axes if axis in data.dims})
            for name, data in datasets.items()
        }

    return edge


def in_reverse(*axes):
    """As if gains and lengths had been asked for the other way round."""

    def edge(datasets):
        backwards = slice(None, None, -1)
        return {
            name: data.isel({axis: backwards for axis in axes if axis in data.dims})
            for name, data in datasets.items()
        }

    return edge


def changed(**changes):
    """Variables by functions of their values, in every dataset that has them."""

    def edge(datasets):
        return {
            name: data.assign(
                {
                    key: data[key].copy(data=np.broadcast_to(change(data[key]), data[key].shape))
                    for key, change in changes.items()
                    if key in data
                }
            )
            for name, data in datasets.items()
        }

    return edge


def level(value):
    return lambda variable: np.full(variable.shape, value)


def by_seed(*values):
    """A value for each network, whatever the other axes."""

    def change(variable):
        shape = [1] * variable.ndim
        shape[variable.dims.index("network_seed")] = len(values)
        return np.reshape(np.array(values, dtype=float), shape)

    return change


def along_units(*values):
    """These values, again and again where states have more numbers."""
    return lambda variable: np.resize(values, variable.sizes["unit"])


def unknown(*seeds):
    """Of these networks, or of all, nothing is known that depends on what they do."""

    def edge(datasets):
        return {name: _unknown(data, seeds) for name, data in datasets.items()}

    return edge


def _unknown(data, seeds):
    names = [
        name
        for name, variable in data.data_vars.items()
        if "network_seed" in variable.dims and variable.dtype.kind == "f" and name not in OF_OTHERS
    ]
    if not names:
        return data
    lost = data.network_seed.isin(list(seeds) or data.network_seed.values)
    return data.assign({name: data[name].where(~lost) for name in names})


def nothing(*names, dim="network_seed", among=slice(None)):
    """Logs of -inf: an exact 0, of all networks or some; at lag 0 they stay."""

    def gone(variable):
        values = variable.values.copy()
        places = [slice(None)] * values.ndim
        places[variable.dims.index(dim)] = among
        kept = values.take(0, variable.dims.index("lag")) if "lag" in variable.dims else None
        values[tuple(places)] = np.where(np.isnan(values[tuple(places)]), np.nan, -np.inf)
        if kept is not None:
            at = [slice(None)] * values.ndim
            at[variable.dims.index("lag")] = 0
            values[tuple(at)] = kept
        return values

    return changed(**dict.fromkeys(names, gone))


def both(*edges):
    def edge(datasets):
        for each in edges:
            datasets = each(datasets)
        return datasets

    return edge


def without(*names):
    """As left by a version that had no such variables."""

    def edge(datasets):
        return {name: data.drop_vars(names, errors="ignore") for name, data in datasets.items()}

    return edge


def of_all_layers(name):
    """As left by a version that had a variable of all layers together."""

    def edge(datasets):
        return {
            key: data.assign({name: data[name].isel(layer=0, drop=True)})
            if name in data and "layer" in data[name].dims
            else data
            for key, data in datasets.items()
        }

    return edge
