#!/usr/bin/env python3
"""Runs synop and its peers in turn, several times over, and prints one table of ratios.

    benches/peers/run.py [--env FOLDER] [--rounds N] [--length SHARE] [--only LABEL,…] [--json FILE]

`setup.sh FOLDER` installs the peers. Everything runs one after the other with one thread; in every round each program runs once, so that a
slow minute of the machine slows all; of each the fastest round counts. Rates are synaptic events per second of processor time
(products or pulses of crossbars; `XP-sparse` whole updates).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SYNOP = os.environ.get("SYNOP", os.path.join(ROOT, "target", "release", "synop"))


def programs(env, length, data):
    """Label, and the command; a command without its interpreter is left out."""
    python = lambda name: os.path.join(env, name, "bin", "python")
    script = lambda name: os.path.join(HERE, name)
    for variant in ("ai", "std", "dt1"):
        yield f"W1-{variant}", [python("nest"), script("w1_nest.py"), variant, str(length)]
        yield f"W1-{variant}", [python("brian"), script("w1_brian.py"), variant, str(length)]
    yield "W1-std", [python("brian"), script("w1_brian.py"), "std", str(length), "--one"]
    yield "W1-dt1", [os.path.join(env, "gresil", "target", "release", "w1_gresil"), "dt1", str(length)]
    yield "W2", [python("torch"), script("w2_torch.py"), data]
    # These measure synop beside the peer themselves.
    yield "sanafe-128", [python("sanafe"), script("sanafe.py"), "--synop", SYNOP]
    yield "crossbars", [python("aihwkit"), script("crossbars.py"), "--synop", SYNOP, "--repeats", "1"]
    # Scripts of other workloads announce themselves by their name: LABEL_peer.py, with `# env: NAME` in their first line.
    for name in sorted(os.listdir(HERE)):
        first = open(script(name)).readline() if name.endswith(".py") else ""
        if first.startswith("# env: "):
            yield name.split("_")[0].upper(), [python(first[7:].strip()), script(name), str(length)]


def measure(command):
    """The lines of JSON that a program prints, or nothing and why."""
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    print(f"{time.monotonic() - begun:6.0f} s  {' '.join(map(os.path.basename, command))}", file=sys.stderr)
    lines = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("JSON ")]
    if done.returncode != 0 or not lines:
        print("failed:", " ".join(command), done.stderr[-500:], file=sys.stderr)
    return lines


def synop(labels, length, out=None):
    """Runs of `synop bench`, as lines alike."""
    command = [SYNOP, "bench", *labels, "--repeats", "1", "--length", str(length), "--threads", "1", "--json"]
    done = subprocess.run(command + (["--out", out] if out else []), capture_output=True, text=True, check=True)
    lines = []
    for run in json.loads(done.stdout)["runs"]:
        bench = run["bench"]
        keys = ("events", "cpu_s", "events_per_s", "build_s", "rate_hz", "ms_per_sample", "spikes", "bound_fraction")
        line = dict(peer="synop", label=run["label"], **{k: bench[k] for k in keys if k in bench})
        line.update(bytes_per_synapse=bench["bytes_per_synapse"], peak_rss_bytes=run["host"]["peak_rss_bytes"])
        lines.append(line)
    return lines


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--env", default="/tmp/synop-peers")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--length", type=float, default=1.0, help="share of the standard length")
    options.add_argument("--only", default="", help="labels, separated by commas")
    options.add_argument("--json", help="write all measurements to this file")
    options = options.parse_args()
    only = [label for label in options.only.split(",") if label]
    wanted = lambda label: not only or label in only
    data = tempfile.mkdtemp(prefix="synop-w2-")
    if wanted("W2"):
        synop(["W2"], 1.0, data)
    all_programs = [p for p in programs(options.env, options.length, os.path.join(data, "W2")) if wanted(p[0])]
    absent = sorted({p[1][0] for p in all_programs if not os.path.exists(p[1][0])})
    for path in absent:
        print(f"left out: {path} is not there (see setup.sh)", file=sys.stderr)
    ours = ["W1-ai", "W1-ai-one", "W1-ai-bits", "W1-std", "W1-std-one", "W1-std-bits", "W1-dt1", "W2", "W3"]
    known = subprocess.run([SYNOP, "bench", "--list", "--json"], capture_output=True, text=True, check=True).stdout
    known = {case["label"] for case in json.loads(known)}
    ours = [label for label in ours if label in known and (wanted(label) or wanted("-".join(label.split("-")[:2])))]
    best, expected = {}, None
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        lines = [line for label in ours for line in synop([label], options.length if label != "W2" else 1.0)]
        for _, command in all_programs:
            if command[0] not in absent:
                lines += measure(command)
        for line in lines:
            if line["peer"] == "float64 reference":
                expected = line["spikes"]
                continue
            key = (line["label"], line["peer"], line.get("batch", 1))
            if key not in best or line["events_per_s"] > best[key]["events_per_s"]:
                best[key] = line
    print(f"{'workload':17} {'program':44} {'M events/s':>11} {'synop is':>9} {'ms/sample':>10} {'rate Hz':>8} {'B/syn':>6}")
    for (label, peer, batch), line in sorted(best.items()):
        own = best.get((label, "synop", 1))
        ratio = own["events_per_s"] / line["events_per_s"] if own and peer != "synop" else None
        name = peer + (f", batch {batch}" if batch > 1 else "")
        line["synop_ratio"] = ratio
        cell = lambda value, form: format(value, form) if value is not None else ""
        print(
            f"{label:17} {name:44} {line['events_per_s'] / 1e6:11.1f} {cell(ratio, '8.1f') + 'x' if ratio else '':>9}"
            f" {cell(line.get('ms_per_sample'), '10.4f'):>10} {cell(line.get('rate_hz'), '8.1f'):>8}"
            f" {cell(line.get('bytes_per_synapse'), '6.2f'):>6}"
        )
    own = best.get(("W2", "synop", 1))
    if own and expected:
        off = max(abs(found - e) / e for found, e in zip(own["spikes"], expected))
        print(f"W2 spikes {own['spikes']}, float64 reference {expected}: largest difference {off:.1e}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(dict(rounds=options.rounds, length=options.length, runs=list(best.values())), file, indent=1)


main()
