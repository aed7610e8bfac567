"""The sentences of gradient-norms, truncation and window, recomputed from their data."""

import itertools
import math

import numpy as np
from recomputed import (
    LN10,
    by_kind,
    has_one_matrix,
    median,
    middle,
    names,
    nearest,
    of_known,
    percent,
    plain,
    quartile,
    rest_gain,
    several,
    share,
)

from analysis.frame import figures
from rnnsim import theory


def gradient_norms(datasets):
    return by_kind(datasets, _norms)


def _norms(datasets):
    last = plain(datasets["last-step"]).isel(length=-1)
    found = {"vanish": [], "arrive": [], "explode": [], "": []}
    notes = []
    for gain in last.gain.values:
        change = last.log_change.sel(gain=gain).values
        left = [v for v in change if v == v]
        mean = sum(left) / len(left) if left else math.nan
        kind = "" if mean != mean else "arrive" if abs(mean) <= LN10 else "explode"
        found["vanish" if mean < -LN10 else kind].append(float(gain))
        parts = []
        if dead := sum(v == -math.inf for v in change):
            parts.append(f"{dead} exactly 0")
        if len(left) < len(change):
            parts.append(f"{len(change) - len(left)} out of range and left out")
        if parts:
            notes.append(
                f"  Of {several(len(change), 'network')} at gain {gain:g}: {', '.join(parts)}."
            )
    texts = {
        "vanish": "vanish (shrink more than tenfold)",
        "arrive": "arrive within a factor of ten",
        "explode": "explode (grow more than tenfold)",
    }
    T = int(last.length)
    start = f"Over {T} steps, in the mean of logs over networks, gradients"
    words = [f"Gradients over {several(T, 'step')}", *_arrival(found)]
    words += [
        f"{start} {text} at {names(found[kind], 'no gain of this sweep')}."
        for kind, text in texts.items()
    ]
    if found[""]:
        where = names(found[""], "")
        words.append(f"What they do is not known at {where}: no network stayed in range.")
    words += [*notes, *_choice(found, T), "How fast gradients change, a step back"]
    fits = plain(datasets["all-steps"]).isel(length=-1)
    for gain in sorted({float(fits.gain[0]), float(fits.gain[-1])}):
        here = fits.sel(gain=gain)
        words.append(f"At gain {gain:g} {_rate(here)}.")
        singles = here.growth_single.values.tolist()
        if bent := singles.count(0.0):
            words.append(
                f"  Of {several(len(singles), 'network')} there {bent} "
                f"{'has' if bent == 1 else 'have'} no single rate: it differs between both halves "
                "of the lags by more than its error."
            )
    words.append("What the weights alone tell")
    if not has_one_matrix(last):
        return [
            *words,
            "Without input rest is stable for large networks with these biases below gain "
            f"{rest_gain(last):.3g}; these read their task.",
        ]
    norms = []
    for name in ("spectral_norm", "spectral_radius"):
        per_gain = last[name].transpose("network_seed", "gain").values / last.gain.values
        norms.append(1 / median(per_gain))
    words.append(
        f"The norm of W_hh alone proves vanishing below gain {norms[0]:.2f} in the median network "
        f"(for large Gaussian W_hh {theory.pascanu_critical_gain('gaussian'):g}); its median "
        f"spectral radius is 1 at gain {norms[1]:.2f}."
    )
    return words


def _climbing(*kinds):
    """Whether every gain of one kind is below all of the next."""
    gains = [gain for kind in kinds for gain in kind]
    return all(a < b for a, b in itertools.pairwise(gains))


def _arrival(found):
    low, mid, high = (found[kind] for kind in ("vanish", "arrive", "explode"))
    some = " that is known" if found[""] else ""
    if mid and (found[""] or not _climbing(low, mid, high)):
        return [f"Gradients arrive at {names(mid, '')}, and at no other gain{some}."]
    if mid:
        sides = {"below they vanish": low, "above they explode": high}
        parts = [f"Gradients arrive at {names(mid, '')}"]
        parts += [", ".join(text for text, gains in sides.items() if gains)]
        return ["; ".join(filter(None, parts)) + "."]
    if low and high:
        return [f"Gradients arrive at no gain{some}: they vanish or explode."]
    if low or high:
        return [f"Gradients {'vanish' if low else 'explode'} at every gain{some}."]
    return []


def _choice(found, T):
    low, mid, high = (found[kind] for kind in ("vanish", "arrive", "explode"))
    clip = "clip gradients where they explode."
    if mid:
        text = f"for what {several(T, 'step')} back matters, choose {names(mid, '')}"
        return [f"{text}; {clip}" if high else f"{text}."]
    if low and high and not found[""] and max(low) < min(high):
        return [f"try gains between {max(low):g} and {min(high):g}; {clip}"]
    return [clip] if high else []


def _rate(fits):
    rates = fits.growth_rate.values
    rate = median(rates)
    if rate != rate:
        return "no growth rate is known"
    half_lives = fits.half_life.values
    most = 2 * sum(v == v for v in half_lives) > len(half_lives)
    text = ""
    if most and quartile(rates, 0.25) * quartile(rates, 0.75) > 0:
        text = f", {'halving' if rate < 0 else 'doubling'} in {math.log(2) / abs(rate):.1f} steps"
    return f"norms change by {rate:+z.3f} nats a step{text}{of_known(rates)}"


def truncation(datasets):
    return by_kind(datasets, _truncation)


def _truncation(datasets):
    data = plain(datasets["windows"]).isel(length=-1)
    T = int(data.length)
    tolerance = percent(figures.configuration(datasets["windows"])["tolerance"])
    gains, words = data.gain.values.tolist(), [f"Windows for {several(T, 'step')}"]
    windows_of = {gain: data.sufficient_window.sel(gain=gain).values for gain in gains}
    ends = {gain: median(each) for gain, each in windows_of.items()}
    short = [gain for gain, K in ends.items() if K <= T / 4]
    long = [gain for gain, K in ends.items() if 10 * K >= 9 * T]
    if any(K == K for K in ends.values()):
        text = f"A quarter of the sequence is enough at {names(short, 'no gain')}"
        if long:
            text += f"; nine tenths of it and more are needed at {names(long, '')}"
        words.append(f"{text}.")
    for gain in nearest(gains, (0.5, 1.0, 2.0)):
        windows = data.sufficient_window.sel(gain=gain).values
        K = median(windows)
        text = "has no window that is known to suffice"
        if K == K:
            part = "the whole sequence" if K == T else f"{share(K / T)} of the sequence"
            text = f"needs a window of {K:g} of {T} steps ({part}){of_known(windows)}"
        words.append(f"At gain {gain:g} a gradient within {tolerance} {text}.")
    (gain,) = nearest(gains, (1.0,))
    if all(K == K for K in windows_of[gain]):
        K = math.ceil(ends[gain])
        text = f"train through {several(K, 'step')} or more" if K < T else "do not truncate"
        words.append(f"at gain {gain:g} {text}.")
    words += ["Segments beside sliding windows", _segments(data, T)]
    if not has_one_matrix(data):
        return [*words, *_bias_variance(datasets["bias-variance"])]
    silent = {gain: _without_bound(data.sel(gain=gain), T) for gain in gains}
    n = data.sizes["network_seed"]
    text = names([g for g, count in silent.items() if count == n], "none of the gains")
    if some := [f"{g:g} ({count} of {n})" for g, count in silent.items() if 0 < count < n]:
        text += f"; for some networks at gain {', '.join(some)}"
    start = "The geometric bound says nothing (decay beta not known to be below 1) at"
    words.append("What theory promises")
    return [*words, f"{start} {text}.", *_bias_variance(datasets["bias-variance"])]


def _bias_variance(data):
    settings = figures.configuration(data)
    T, B = settings["length"], settings["batch_size"]

    def plainly(x):
        return f"{x:g}"

    words, lists = [], []
    for moment in data.moment.values.tolist():
        here = data.sel(moment=moment, batch=B)
        start = f"{moment[0].upper()}{moment[1:]} training, with batches of {B},"
        best, text = here.best_window.values, "no best window is known"
        if any(x == x for x in best):
            text = f"the best window is {middle(best, plainly)} of {T} steps"
            pairs = zip(here.best_error.values, here.full_error.values, strict=True)
            ratios = [a / b if b > 0 else math.nan for a, b in pairs]
            if any(x == x for x in ratios):
                part = middle(ratios, share)
                text += f", its squared error {part} of that of the full gradient"
            low, high = here.shortest_window.values, here.longest_window.values
            if any(x == x for x in low):
                ends = f"{middle(low, plainly)} to {middle(high, plainly)}"
                text += f", and windows from {ends} are not known to be worse"
            text += f" (medians){of_known(best)}"
        words.append(f"{start} {text}.")
        lag, text = median(here.horizon.values), "it is not known from which lag on noise prevails"
        if lag == lag:
            text = f"the last lag with more gradient than noise is {lag:g}"
            if lag < 0:
                text = "even lag 0 brings more noise than gradient"
            text += f" (median){of_known(here.horizon.values)}"
        words.append(f"{start} {text}.")
        sizes = data.batch.values.tolist()
        windows = [
            middle(data.best_window.sel(moment=moment, batch=size).values, plainly)
            for size in sizes
        ]
        shown, best = ", ".join(map(str, sizes)), ", ".join(windows)
        if set(windows) != {"not known"}:
            lists.append(f"Best windows {moment} training for batches of {shown}: {best} steps.")
    lost = sum(int(update) >= 0 for update in data.diverged.values)
    if lost:
        lists.append(
            f"{lost} of {several(data.diverged.size, 'network')} left the floating-point range "
            "while they were trained and stayed with their last finite weights."
        )
    here = data.sel(moment=data.moment.values[-1], batch=B)
    best, longest = here.best_window.values, here.longest_window.values
    if all(x == x for x in (*best, *longest)) and math.ceil(median(longest)) < T:
        lists.append(
            f"{here.moment.item()} training, with batches of {B}, "
            f"{several(math.ceil(median(best)), 'step')} are better than the whole sequence."
        )
    return ["What noise of batches hides", *words, *lists]


def _segments(data, T):
    (gain,) = nearest(data.gain.values.tolist(), (1.0,))
    (K,) = nearest(data.window.values.tolist(), (T / 8,))
    here = data.sel(gain=gain, window=K)
    known = np.isfinite(here.log_gradient_norm.values)
    errors = {}
    for name in ("segments", "sliding"):
        row = here.truncation_log_error.sel(truncation=name).values
        errors[name] = np.where(np.isnan(row) & known, -np.inf, row)
    sizes = {name: math.exp(median(row)) for name, row in errors.items()}
    start = f"At gain {gain:g} and window {int(K)}, "
    if any(x != x for x in sizes.values()):
        return f"{start}no error is known."
    more = "more" if sizes["segments"] > sizes["sliding"] else "no more"
    shown = [f"{x:.2g}" if x else "less than is known" for x in sizes.values()]
    return (
        f"{start}segments err {more} than sliding windows: {shown[0]} against {shown[1]} of the "
        f"full gradient (medians){of_known(errors['sliding'])}."
    )


def _without_bound(data, T):
    """Networks whose norms do not decay by any factor below 1 from lag 5 on."""
    count = 0
    for seed in range(data.sizes["network_seed"]):
        one = data.isel(network_seed=seed)
        steps = one.loss_steps.values
        reached = steps > 0
        norms = one.log_rms.values[reached] + np.log(steps[reached] / steps[0])
        tau = min(5, len(norms) - 2)
        start, later = norms[tau], []
        if math.isfinite(start) and math.isfinite(float(one.log_gradient_norm)):
            rates = [(norms[k] - start) / (k - tau) for k in range(tau + 1, len(norms))]
            later = [x for x in rates if x == x]
        count += not (later and max(later) < 0)
    return count


def window(datasets):
    return by_kind(datasets, _window)


def _window(datasets):
    data = datasets["window"]
    settings = figures.configuration(data)
    needed, chance = int(data.dependency) + 1, math.log(settings["n_symbols"])
    losses = data.loss.copy(data=np.where(np.isnan(data.loss), np.inf, data.loss))
    windows = sorted(data.window.values.tolist())
    answer, advice = _shortest(data, losses, windows, needed, chance)
    words = [
        "How long a window must be",
        answer,
        f"An answer depends on what was shown {several(needed - 1, 'step')} before: a window of "
        f"{several(needed, 'step')} reaches it. Chance is {chance:.2f} nats per answer.",
        *advice,
        "Losses at the end",
    ]
    for budget in data.budget.values:
        for way in data.truncation.values:
            final = losses.sel(budget=budget, truncation=way).isel(share=-1)
            rows = {K: final.sel(window=K).values for K in windows}
            best = min(windows, key=lambda K: median(rows[K]))
            below, above = ([K for K in windows if (needed <= K) == far] for far in (False, True))
            shown = [(f"K = {K}", K) for K in (*below[-1:], *above[:1])]
            shown += [(f"lowest at K = {best}", best), (f"longest, K = {windows[-1]}", windows[-1])]
            parts = [f"{name}: {middle(rows[K], lambda x: f'{x:.2g}')}" for name, K in shown]
            words.append(f"At equal {budget}, {way}: {', '.join(parts)} nats per answer.")
    if frozen := int((data.diverged.values >= 0).sum()):
        words.append(
            f"{frozen} of {several(data.diverged.size, 'network')} left the floating-point range "
            "and were frozen (one for each seed, window and way of truncating)."
        )
    here = losses.sel(budget="sequences")
    worse = here.isel(share=-1).values > here.min("share").values + 0.1
    far = np.broadcast_to((here.window.values >= needed)[None, :, None], worse.shape)
    if not far.all():
        text = (
            f"Below {needed} steps, {share(worse[~far].mean())} of networks end more than 0.1 nats "
            "above the lowest loss that they had on the way (equal sequences; one network for each "
            "seed, window and way of truncating)"
        )
        text += f", from there on {share(worse[far].mean())}" if far.any() else ""
        words += ["Losses on the way", f"{text}."]
    return words


def _shortest(data, losses, windows, needed, chance):
    way = data.truncation.values[0]
    final = losses.sel(budget="sequences", truncation=way).isel(share=-1)
    ends = {K: median(final.sel(window=K).values) for K in windows}
    least = min(ends.values())
    if least > chance - 0.1:
        return f"Nothing is learned through any window ({way}) in this time.", []
    good = [K for K, loss in ends.items() if loss <= least + 0.1]
    K = good[0]
    side = "as the dependency asks for" if needed <= K else "shorter than the dependency"
    more = " or more" if good == [k for k in windows if k >= K] else ""
    return (
        f"Through {way}, {several(K, 'step')} are enough to learn as well as through any window, "
        f"{side}.",
        [f"train through {several(K, 'step')}{more}."],
    )
