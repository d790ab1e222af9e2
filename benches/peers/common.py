"""What the peers' scripts share: the parameters of W1 and one line of JSON per measurement."""

import json
import resource
import sys
import time

# The balanced random network: neurons, inputs per neuron, J (mV), g, tick (ms), delay (ms).
W1 = {
    "ai": dict(n=10_000, k=1_000, j=0.2, g=6.0, dt=0.1, delay=1.5),
    "std": dict(n=10_000, k=1_000, j=0.1, g=5.0, dt=0.1, delay=1.5),
    "small": dict(n=2_500, k=250, j=0.2, g=5.0, dt=0.1, delay=1.5),
    "dt1": dict(n=10_000, k=1_000, j=0.1, g=5.0, dt=1.0, delay=2.0),
}
THETA, RESET, TAU, REFRACTORY, DRIVE = 20.0, 10.0, 20.0, 2.0, 40.0
WARM_MS = 100.0


def variant():
    """The variant of W1 named on the command line, its parameters, and the milliseconds to measure."""
    name = sys.argv[1] if len(sys.argv) > 1 else "ai"
    length = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    return name, W1[name], 1000.0 * length


class Spent:
    """Processor and wall seconds of a `with` block."""

    def __enter__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu = time.process_time() - self.cpu
        self.wall = time.perf_counter() - self.wall


def report(peer, label, events, cpu_s, **more):
    """Prints the measurement."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = dict(peer=peer, label=label, events=int(events), cpu_s=cpu_s, events_per_s=events / cpu_s)
    line.update(peak_rss_bytes=peak, **more)
    print("JSON " + json.dumps(line), flush=True)


def rate(peer, label, per_s, **more):
    """Prints a measurement that is a rate alone."""
    print("JSON " + json.dumps(dict(peer=peer, label=label, events_per_s=per_s, **more)), flush=True)


def microcircuit(scale=0.1):
    """W3: sizes, [(target, source, synapses, factor)], weight (pA), external inputs, missing current (pA) by population."""
    import math

    full = [20_683, 5_834, 21_915, 5_479, 4_850, 1_065, 14_395, 2_948]
    probability = [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
    external = [1_600, 1_500, 2_100, 1_900, 2_000, 1_900, 2_900, 2_100]
    rates = [0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523]
    sizes = [round(n * scale) for n in full]
    links, missing = [], [0.0] * 8
    for t in range(8):
        for s in range(8):
            count = math.log(1.0 - probability[t][s]) / math.log(1.0 - 1.0 / (full[s] * full[t]))
            factor = -4.0 if s % 2 else (2.0 if (t, s) == (0, 2) else 1.0)
            missing[t] += factor * 87.81 * count / full[t] * rates[s] * 0.5e-3
            links.append((t, s, round(count * scale * scale), factor))
        missing[t] += 87.81 * external[t] * 8.0 * 0.5e-3
        missing[t] *= 1.0 - math.sqrt(scale)
    return sizes, links, 87.81 / math.sqrt(scale), [k * scale for k in external], missing
