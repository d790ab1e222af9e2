# env: brian
"""W3 on Brian2, C++ standalone, one thread: exponential currents, a weight and a delay per synapse, PoissonInput."""

import sys
import tempfile

import brian2 as b2
import numpy as np

import common

length_ms = 1000.0 * (float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
folder = tempfile.mkdtemp(prefix="brian-w3-")
b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
b2.seed(1)
b2.defaultclock.dt = 0.1 * b2.ms
mv, ms, pa = b2.mV, b2.ms, b2.pA
sizes, links, weight, external, missing = common.microcircuit()
firsts = np.concatenate([[0], np.cumsum(sizes)])
total = int(firsts[-1])
rng = np.random.default_rng(1)
with common.Spent() as build:
    neurons = b2.NeuronGroup(
        total,
        """dv/dt = (low - v) / tau + (current + constant) / capacity : volt (unless refractory)
        dcurrent/dt = -current / synapse : amp
        constant : amp (constant)""",
        threshold="v >= theta",
        reset="v = low",
        refractory=2.0 * ms,
        method="exact",
        namespace=dict(low=-65 * mv, theta=-50 * mv, tau=10 * ms, synapse=0.5 * ms, capacity=250 * b2.pF),
    )
    neurons.v = rng.normal(-58.0, 10.0, total) * mv
    neurons.constant = np.repeat(missing, sizes) * pa
    network = b2.Network(neurons)
    for p, inputs in enumerate(external):
        part = neurons[int(firsts[p]) : int(firsts[p + 1])]
        network.add(b2.PoissonInput(part, "current", round(inputs), 8 * b2.Hz, weight * pa))
    sources, targets, weights, delays, out = [], [], [], [], np.zeros(total)
    for t, s, count, factor in links:
        sources.append(rng.integers(firsts[s], firsts[s + 1], count))
        targets.append(rng.integers(firsts[t], firsts[t + 1], count))
        drawn = factor * weight * (1.0 + 0.1 * rng.normal(size=count))
        weights.append(np.maximum(drawn, 0.0) if factor > 0 else np.minimum(drawn, 0.0))
        mean, spread = (1.5, 0.75) if factor > 0 else (0.8, 0.4)
        delays.append(np.maximum(rng.normal(mean, spread, count), 0.1))
    sources = np.concatenate(sources)
    synapses = b2.Synapses(neurons, neurons, "w : amp", on_pre="current_post += w")
    synapses.connect(i=sources, j=np.concatenate(targets))
    synapses.w = np.concatenate(weights) * pa
    synapses.delay = np.concatenate(delays) * ms
    network.add(synapses)
    spikes = b2.SpikeMonitor(neurons, record=False)
    network.add(spikes)
    spikes.active = False
    network.run(common.WARM_MS * ms)
    spikes.active = True
    b2.device.insert_code("main", "const std::clock_t begun = std::clock();")
    network.run(length_ms * ms)
    b2.device.insert_code("main", 'std::ofstream("cpu.txt") << double(std::clock() - begun) / CLOCKS_PER_SEC;')
    b2.device.build(directory=folder, compile=True, run=False, debug=False)
b2.device.run(folder, with_output=False, run_args=[])
with open(folder + "/cpu.txt") as file:
    cpu_s = float(file.read())
counts = np.asarray(spikes.count)
common.report(
    f"Brian2 {b2.__version__} standalone",
    "W3",
    (counts * np.bincount(sources, minlength=total)).sum(),
    cpu_s,
    build_s=build.wall,
    rate_hz=counts.sum() / total / length_ms * 1000.0,
    rates_hz=[float(c.mean()) / length_ms * 1000.0 for c in np.split(counts, firsts[1:-1])],
    synapses=len(sources),
)
