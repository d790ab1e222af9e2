"""W1 on NEST: iaf_psc_delta, static_synapse, one thread."""

import numpy as np

import common

name, p, ms = common.variant()
import nest  # noqa: E402 (slow, and prints a banner)

nest.set_verbosity("M_ERROR")
nest.local_num_threads = 1
nest.resolution = p["dt"]
nest.rng_seed = 1
excitatory = p["n"] * 4 // 5
k_e = p["k"] * 4 // 5
with common.Spent() as build:
    neurons = nest.Create(
        "iaf_psc_delta",
        p["n"],
        dict(
            E_L=0.0,
            V_th=common.THETA,
            V_reset=common.RESET,
            tau_m=common.TAU,
            C_m=1.0,
            t_ref=common.REFRACTORY,
            I_e=common.DRIVE / common.TAU,
        ),
    )
    neurons.V_m = np.random.default_rng(1).uniform(0.0, common.THETA, p["n"])
    for source, inputs, weight in (
        (neurons[:excitatory], k_e, p["j"]),
        (neurons[excitatory:], p["k"] - k_e, -p["g"] * p["j"]),
    ):
        nest.Connect(
            source,
            neurons,
            dict(rule="fixed_indegree", indegree=inputs, allow_multapses=True, allow_autapses=True),
            dict(synapse_model="static_synapse", weight=weight, delay=p["delay"]),
        )
    nest.Simulate(common.WARM_MS)
with common.Spent() as run:
    nest.Simulate(ms)
spikes = nest.local_spike_counter  # counted anew by every Simulate
common.report(
    "NEST " + nest.__version__,
    "W1-" + name,
    spikes * p["k"],
    run.cpu,
    wall_s=run.wall,
    build_s=build.wall,
    rate_hz=spikes / p["n"] / ms * 1000.0,
    synapses=p["n"] * p["k"],
)
