# env: nest
"""W3 on NEST: iaf_psc_exp, static_synapse, Poisson generators, one thread."""

import sys

import numpy as np

import common

ms = 1000.0 * (float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
import nest  # noqa: E402 (slow, and prints a banner)

nest.set_verbosity("M_ERROR")
nest.local_num_threads = 1
nest.resolution = 0.1
nest.rng_seed = 1
sizes, links, weight, external, missing = common.microcircuit()
rng = np.random.default_rng(1)
with common.Spent() as build:
    params = dict(E_L=-65.0, V_th=-50.0, V_reset=-65.0, tau_m=10.0, C_m=250.0, t_ref=2.0, tau_syn_ex=0.5, tau_syn_in=0.5)
    populations = [nest.Create("iaf_psc_exp", n, dict(params, I_e=i)) for n, i in zip(sizes, missing)]
    recorders, out = [], np.zeros(8)
    for population, inputs in zip(populations, external):
        population.V_m = rng.normal(-58.0, 10.0, len(population))
        drive = nest.Create("poisson_generator", params=dict(rate=8.0 * inputs))
        nest.Connect(drive, population, "all_to_all", dict(weight=weight, delay=1.5))
        recorders.append(nest.Create("spike_recorder", params=dict(start=common.WARM_MS)))
        nest.Connect(population, recorders[-1])
    for t, s, count, factor in links:
        if count == 0:
            continue
        mean, delay = factor * weight, (1.5, 0.75) if factor > 0 else (0.8, 0.4)
        low, high = (0.0, np.inf) if mean > 0 else (-np.inf, 0.0)
        draw = nest.math.redraw(nest.random.normal(mean, abs(mean) * 0.1), min=low, max=high)
        when = nest.math.redraw(nest.random.normal(*delay), min=0.1, max=np.inf)
        nest.Connect(
            populations[s],
            populations[t],
            dict(rule="fixed_total_number", N=count),
            dict(synapse_model="static_synapse", weight=draw, delay=when),
        )
        out[s] += count / sizes[s]
    nest.Simulate(common.WARM_MS)
with common.Spent() as run:
    nest.Simulate(ms)
spikes = [r.n_events for r in recorders]
common.report(
    "NEST " + nest.__version__,
    "W3",
    sum(n * k for n, k in zip(spikes, out)),
    run.cpu,
    wall_s=run.wall,
    build_s=build.wall,
    rate_hz=sum(spikes) / sum(sizes) / ms * 1000.0,
    rates_hz=[n / size / ms * 1000.0 for n, size in zip(spikes, sizes)],
    synapses=sum(link[2] for link in links),
)
