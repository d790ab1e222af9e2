#!/usr/bin/env python3
"""The workload `sanafe-128` on SANA-FE 2.2.9 and on synop, one after the other, in one run.

    python3 -m venv venv && venv/bin/pip install sanafe==2.2.9
    cargo build --release
    venv/bin/python benches/peers/sanafe.py [--steps 1000] [--synop target/release/synop] [--json FILE]

10,000 neurons with 100 synapses each, 1,000 scripted inputs, spread over 128 cores, all counters on. Both sides draw
the same network from one generator (see `host/src/bench/chip128.rs`) and must agree on spikes, updates, synaptic
events, packets and hops before any time is compared. Time is processor time of the run alone; SANA-FE runs its
fastest timing model (`simple`) on one thread.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

from common import rate

NEURONS, FAN_OUT, INPUTS, FORCED, CORES, EVERY = 10_000, 100, 1_000, 10, 128, 50
MASK = (1 << 64) - 1


class Draw:
    """x <- 6364136223846793005 x + 1442695040888963407; a draw is the upper 31 bits."""

    def __init__(self, seed):
        self.x = seed

    def below(self, n):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407) & MASK
        return (self.x >> 33) % n


def architecture(path):
    """A mesh of 8 x 4 tiles with 4 cores each, every event at a price of its own."""
    hops = ", ".join(
        f"energy_{d}_hop: {e}e-12, latency_{d}_hop: {t}e-9"
        for d, e, t in (("north", 4.0, 6.5), ("east", 3.0, 4.1), ("south", 4.0, 6.5), ("west", 3.0, 4.1))
    )

    def soma(name, model, priced):
        costs = ((51.2, 6.0), (21.6, 3.7), (69.3, 30.0)) if priced else ((0, 0),) * 3
        keys = ", ".join(
            f"energy_{k}: {e}e-12, latency_{k}: {t}e-9"
            for k, (e, t) in zip(("access_neuron", "update_neuron", "spike_out"), costs)
        )
        return f"            - name: {name}\n              attributes: {{model: {model}, {keys}}}\n"

    with open(path, "w") as f:
        f.write(
            "architecture:\n  name: mesh128\n"
            "  attributes: {topology: mesh, width: 8, height: 4, link_buffer_size: 16, sync_model: fixed, latency_sync: 1.0e-6}\n"
            f"  tile:\n    - name: t[0..31]\n      attributes: {{{hops}}}\n      core:\n        - name: c[0..3]\n"
            "          attributes: {buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: 1024}\n"
            "          axon_in:\n            - name: ain\n              attributes: {energy_message_in: 0.0, latency_message_in: 16.0e-9}\n"
            "          synapse:\n            - name: syn\n              attributes: {model: current_based, energy_process_spike: 33.6e-12, latency_process_spike: 4.7e-9}\n"
            "          dendrite:\n            - name: den\n              attributes: {model: accumulator, energy_update: 0.0, latency_update: 0.0}\n"
            "          soma:\n" + soma("lif", "leaky_integrate_fire", True) + soma("in[0..7]", "input", False) +
            "          axon_out:\n            - name: aout\n              attributes: {energy_message_out: 111.0e-12, latency_message_out: 5.1e-9}\n"
        )


def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def theirs(seed, steps):
    """SANA-FE's counts, its processor seconds and its memory per synapse."""
    # This file has the peer's name; the peer is meant.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
    import sanafe

    with tempfile.TemporaryDirectory() as folder:
        architecture(os.path.join(folder, "arch.yaml"))
        arch = sanafe.load_arch(os.path.join(folder, "arch.yaml"))
    before = rss()
    draw = Draw(seed)
    targets = [[draw.below(NEURONS) for _ in range(FAN_OUT)] for _ in range(NEURONS)]
    forced = [[draw.below(NEURONS) for _ in range(FORCED)] for _ in range(INPUTS)]
    draw = Draw(seed ^ 0x5A5A)
    trains = [[0] * steps for _ in range(INPUTS)]
    for t in range(steps):
        for k in range(INPUTS):
            trains[k][t] = int(draw.below(EVERY) == 0)
    net = sanafe.Network()
    # Numbers from Python pass through 32 bits there: all that stand here are exact in them.
    lif = {"threshold": 1.0, "leak_decay": 0.875, "reset": 0.0}
    neurons = net.create_neuron_group("n", NEURONS, model_attributes=lif, soma_hw_name="lif")
    inputs = net.create_neuron_group("i", INPUTS)
    cores = [core for tile in arch.tiles for core in tile.cores]
    for i in range(NEURONS):
        weight = 4 / 64 if i < NEURONS // 5 * 4 else -16 / 64
        for t in targets[i]:
            neurons[i].connect_to_neuron(neurons[t], {"weight": weight})
        neurons[i].map_to_core(cores[i * CORES // NEURONS])
    held = [0] * CORES
    for k in range(INPUTS):
        core = k * CORES // INPUTS
        inputs[k].set_attributes(soma_hw_name=f"in[{held[core]}]", model_attributes={"spikes": trains[k]})
        held[core] += 1
        for t in forced[k]:
            inputs[k].connect_to_neuron(neurons[t], {"weight": 124 / 64})
        inputs[k].map_to_core(cores[core])
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    begun = cpu()
    out = chip.sim(steps, timing_model="simple", processing_threads=1, scheduler_threads=0, perf_trace=True)
    spent = cpu() - begun
    synapses = NEURONS * FAN_OUT + INPUTS * FORCED
    return {
        "cpu_s": spent,
        "events": out["spikes"],
        "packets": out["packets_sent"],
        "updated": out["neurons_updated"],
        "fired": out["neurons_fired"],
        "hops": sum(out["perf_trace"]["hops"]),
        "bytes_per_synapse": (rss() - before) / synapses,
    }


def ours(binary, seed, steps):
    """synop's report of the same workload."""
    command = [binary, "bench", "sanafe-128", "--json", "--seed", str(seed), "--threads", "1", "--length", str(steps / 1000)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--steps", type=int, default=1000)
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument("--synop", default="target/release/synop")
    parse.add_argument("--json", help="write what was measured to this file")
    args = parse.parse_args()
    report = ours(args.synop, args.seed, args.steps)
    run = report["runs"][0] if report.get("runs") else report
    peer = theirs(args.seed, args.steps)
    bench, counts = run["bench"], run["counts"]
    hops = counts["hops"]
    found = {
        "events": bench["events_sent"],
        "packets": counts["packets"],
        "updated": counts["neurons_updated"] + bench["input_events"],
        "fired": counts["neurons_fired"] + bench["input_events"],
        "hops": sum(hops.values()),
    }
    differs = {k: (v, peer[k]) for k, v in found.items() if v != peer[k]}
    again = ours(args.synop, args.seed, args.steps)
    again = again["runs"][0] if again.get("runs") else again
    own_rate = max(r["bench"]["events"] / r["bench"]["cpu_s"] for r in (run, again))
    peer_rate = peer["events"] / peer["cpu_s"]
    result = {
        "workload": f"{NEURONS} neurons x {FAN_OUT} synapses on {CORES} cores, {args.steps} steps",
        "agree": not differs,
        "differs": differs,
        "synop": {"events_per_cpu_s": own_rate, "bytes_per_synapse": bench["bytes_per_synapse"], "cpu_s": bench["cpu_s"]},
        "sanafe": {"events_per_cpu_s": peer_rate, "bytes_per_synapse": peer["bytes_per_synapse"], "cpu_s": peer["cpu_s"]},
        "counts": found,
        "ratio": own_rate / peer_rate,
    }
    print(json.dumps(result, indent=1))
    for name, key, value in (("synop", "synop", own_rate), ("SANA-FE 2.2.9, timing simple", "sanafe", peer_rate)):
        rate(name, "sanafe-128", value, bytes_per_synapse=result[key]["bytes_per_synapse"])
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)
    good = not differs and result["ratio"] >= 50 and bench["bytes_per_synapse"] < 16
    print(f"{'met' if good else 'NOT met'}: {result['ratio']:.0f}x events per CPU second (50), "
          f"{bench['bytes_per_synapse']:.1f} bytes per synapse (16)", file=sys.stderr)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
