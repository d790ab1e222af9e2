"""CPU time of crossbar reads and pulsed updates: aihwkit against synop, same sizes, same machine, one thread, in turn.

    pip install torch==2.10.0 aihwkit==1.1.0          (this pair of wheels imports without a compiler)
    cargo build --release -p synop
    python benches/peers/crossbars.py [--synop target/release/synop] [--repeats 3]

aihwkit: an AnalogTile forward pass with DAC and ADC (noise off), one vector at a time and 64 at a time; one pulse in every
cell (`update` with x = d = 1 and a pulse train of length 1); its default stochastic update where 1 % of rows and columns
are active. synop: `synop bench`, reads by the machine with 8-bit converters, dense 8-bit inputs and 10 % spikes apart.
Rates are per second of processor time; products are inputs times weights, pulses are on single devices (a pair of synop
is two, and both are pulsed but where it says one). The figures of CrossSim's parasitic solve are not measured here: it is not on PyPI (2.8 M products/s at 256 x 256).
"""
import argparse
import json
import os
import subprocess
import time

os.environ["OMP_NUM_THREADS"] = "1"
import torch
from aihwkit.simulator.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    SingleRPUConfig,
    UpdateParameters,
)
from aihwkit.simulator.presets.devices import ReRamESPresetDevice
from aihwkit.simulator.parameters import BoundManagementType, NoiseManagementType, PulseType
from aihwkit.simulator.tiles.analog import AnalogTile

from common import rate

torch.set_num_threads(1)
torch.manual_seed(1)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def per_second(work, amount, seconds=1.0):
    """Best amount per second of processor time, of five parts."""
    work()
    best = 0.0
    for _ in range(5):
        start, calls = time.process_time(), 0
        while time.process_time() - start < seconds / 5:
            work()
            calls += 1
        best = max(best, calls * amount / (time.process_time() - start))
    return best


def tile(n, device=None, update=None):
    config = SingleRPUConfig(device=device or ConstantStepDevice())
    if update:
        config.update = update
    config.forward.out_noise = 0.0
    config.forward.bound_management = BoundManagementType.NONE
    config.forward.noise_management = NoiseManagementType.NONE
    made = AnalogTile(n, n, config)
    made.set_weights(0.5 * (2 * torch.rand(n, n) - 1))
    return made


def reads(n):
    made = tile(n)
    found = {}
    for batch in (1, 64):
        x = 2 * torch.rand(batch, n) - 1
        with torch.no_grad():
            found[f"batch {batch}"] = per_second(lambda: made.tile.forward(x, False, False, False, False), batch * n * n)
    return found


def every_cell(n, device):
    one = UpdateParameters(
        desired_bl=1, fixed_bl=True, pulse_type=PulseType.DETERMINISTIC_IMPLICIT, update_management=False,
        update_bl_management=False,
    )
    made = tile(n, device, one)
    ones = torch.ones(1, n)
    made.set_learning_rate(0.1)
    sign = [1.0]

    def work():
        sign[0] = -sign[0]
        made.tile.update(ones, sign[0] * ones, False, False, False)

    return per_second(work, n * n)


def sparse(n):
    made = tile(n)
    made.set_learning_rate(0.01)
    x = torch.zeros(1, n)
    x[0, ::100] = 2 * torch.rand(len(range(0, n, 100))) - 1
    d = x.clone()
    return per_second(lambda: made.tile.update(x, d, False, False, False), 1)


def ours(binary, repeats, labels):
    command = [binary, "bench", *labels, "--json", "--threads", "1", "--repeats", str(repeats)]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout)
    runs = report.get("runs") or [report]
    return {run["label"]: run["bench"] for run in runs}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--synop", default=os.path.join(ROOT, "target/release/synop"))
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    labels = ["X128", "X128-wires", "X256", "X256-spikes", "X256-wires", "X256-wires-spikes", "X1024", "X1024-spikes"]
    labels += ["XP-constant", "XP-reference", "XP-exponential", "XP-sparse"]
    first = ours(args.synop, args.repeats, labels)
    peer = {
        "reads": {str(n): reads(n) for n in (256, 1024)},
        "pulses": {
            "constant": every_cell(256, ConstantStepDevice()),
            "exponential": every_cell(256, ExpStepDevice()),
            "exponential, write noise": every_cell(256, ReRamESPresetDevice()),
        },
        "sparse updates 1024": sparse(1024),
    }
    second = ours(args.synop, args.repeats, labels)
    best = {k: max(first[k]["events_per_s"], second[k]["events_per_s"]) for k in first}
    updates = max(first["XP-sparse"]["updates_per_s"], second["XP-sparse"]["updates_per_s"])
    per_read = {k: min(first[k]["read_us"], second[k]["read_us"]) for k in first if "read_us" in first[k]}
    table = [
        ("256 x 256 read, dense 8-bit, G products/s", best["X256"] / 1e9, peer["reads"]["256"], 1e9),
        ("256 x 256 read, 10 % spikes", best["X256-spikes"] / 1e9, None, 1e9),
        ("1024 x 1024 read, dense 8-bit", best["X1024"] / 1e9, peer["reads"]["1024"], 1e9),
        ("1024 x 1024 read, 10 % spikes", best["X1024-spikes"] / 1e9, None, 1e9),
        ("a pulse in every cell, constant, M pulses/s", best["XP-constant"] / 1e6, peer["pulses"]["constant"], 1e6),
        ("the same, one device of each pair", best["XP-reference"] / 1e6, peer["pulses"]["constant"], 1e6),
        ("the same, exponential", best["XP-exponential"] / 1e6, {k: v for k, v in peer["pulses"].items() if k != "constant"}, 1e6),
        ("1 % update of 1024 x 1024, k updates/s", updates / 1e3, peer["sparse updates 1024"], 1e3),
    ]
    print(f"{'':46}{'synop':>10}  aihwkit")
    for name, mine, theirs, unit in table:
        if isinstance(theirs, dict):
            theirs = ", ".join(f"{v / unit:.2f} ({k})" for k, v in theirs.items())
        elif theirs is not None:
            theirs = f"{theirs / unit:.2f}"
        print(f"{name:46}{mine:10.2f}  {theirs or '-'}")
    for n, wired in ((128, "X128-wires"), (256, "X256-wires")):
        plain = per_read[f"X{n}"]
        bench = first[wired]
        print(
            f"{n} x {n} with wires: {best[wired] / 1e9:.2f} G products/s = {best[wired] / 2.8e6:.0f} times CrossSim's 2.8 M/s, "
            f"{per_read[wired] / plain:.2f} times the cost without; loss {bench['loss_max']:.3f}, "
            f"column current off by {bench['current_error_max']:.1e}, difference by {bench['difference_error_max']:.1e}"
        )
    print(json.dumps({"aihwkit": peer, "synop": best, "read_us": per_read}))
    # For the table of run.py: products, pulses on single devices, updates.
    for label, value in {**best, "XP-sparse": updates}.items():
        rate("synop", label, value)
    constant = peer["pulses"].pop("constant")
    theirs = [(f"X{n}", name, value) for n, reads in peer["reads"].items() for name, value in reads.items()]
    theirs += [("XP-constant", "constant", constant), ("XP-reference", "constant", constant)]
    theirs += [("XP-exponential", name, value) for name, value in peer["pulses"].items()]
    theirs.append(("XP-sparse", "1 % of rows and columns", peer["sparse updates 1024"]))
    for label, name, value in theirs:
        rate(f"aihwkit 1.1.0, {name}", label, value)


if __name__ == "__main__":
    main()
