"""W1 on Brian2, C++ standalone, one thread; `--one` for one weight per projection.

Input during the refractory time is not masked: that is the faster of Brian2's ways to write the model.
"""

import sys
import tempfile

one = "--one" in sys.argv
if one:
    sys.argv.remove("--one")
import common  # noqa: E402

name, p, length_ms = common.variant()
import brian2 as b2  # noqa: E402
import numpy as np  # noqa: E402

folder = tempfile.mkdtemp(prefix="brian-w1-")
b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
b2.seed(1)
b2.defaultclock.dt = p["dt"] * b2.ms
mv, ms = b2.mV, b2.ms
excitatory = p["n"] * 4 // 5
k_e = p["k"] * 4 // 5
names = dict(tau=common.TAU * ms, mu=common.DRIVE * mv, theta=common.THETA * mv, low=common.RESET * mv)
rng = np.random.default_rng(1)
with common.Spent() as build:
    neurons = b2.NeuronGroup(
        p["n"],
        "dv/dt = (mu - v) / tau : volt (unless refractory)",
        threshold="v >= theta",
        reset="v = low",
        refractory=common.REFRACTORY * ms,
        method="exact",
        namespace=names,
    )
    neurons.v = rng.uniform(0.0, common.THETA, p["n"]) * mv
    network = b2.Network(neurons)
    for first, size, inputs, weight in (
        (0, excitatory, k_e, p["j"]),
        (excitatory, p["n"] - excitatory, p["k"] - k_e, -p["g"] * p["j"]),
    ):
        shared = dict(names, weight=weight * mv)
        model, add = ("", "v_post += weight") if one else ("w : volt", "v_post += w")
        synapses = b2.Synapses(neurons, neurons, model, on_pre=add, delay=p["delay"] * ms, namespace=shared)
        sources = first + rng.integers(0, size, p["n"] * inputs)
        synapses.connect(i=sources, j=np.repeat(np.arange(p["n"]), inputs))
        if not one:
            synapses.w = weight * mv
        network.add(synapses)
    spikes = b2.SpikeMonitor(neurons, record=False)
    network.add(spikes)
    spikes.active = False
    network.run(common.WARM_MS * ms)
    spikes.active = True
    b2.device.insert_code("main", "const std::clock_t begun = std::clock();")
    network.run(length_ms * ms)
    b2.device.insert_code(
        "main",
        'std::ofstream("cpu.txt") << double(std::clock() - begun) / CLOCKS_PER_SEC;',
    )
    b2.device.build(directory=folder, compile=True, run=False, debug=False)
b2.device.run(folder, with_output=False, run_args=[])
with open(folder + "/cpu.txt") as file:
    cpu_s = float(file.read())
common.report(
    f"Brian2 {b2.__version__} standalone" + (", one weight" if one else ""),
    "W1-" + name + ("-one" if one else ""),
    int(spikes.num_spikes) * p["k"],
    cpu_s,
    build_s=build.wall,
    rate_hz=int(spikes.num_spikes) / p["n"] / length_ms * 1000.0,
    synapses=p["n"] * p["k"],
)
