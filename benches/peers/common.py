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
