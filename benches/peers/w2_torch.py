"""W2 on PyTorch (row gather), snnTorch, Norse and Sinabs, with the weights and inputs that `synop bench W2 --out` writes.

    w2_torch.py FOLDER [FRAMEWORK ...]     frameworks: numpy gather snntorch norse sinabs

Prints milliseconds per sample one at a time, and 128 at a time, and the spikes of each layer, and compares the latter with a
float64 NumPy reference.
"""

import json
import sys
import time

import common
import numpy as np

THRESHOLDS = (340.0, 460.0, 520.0)
KEEP = 15.0 / 16.0


def load(folder):
    weights = [np.load(f"{folder}/w2-weights-{i}.npy") for i in (1, 2, 3)]
    return weights, np.load(f"{folder}/w2-inputs.npy")


def reference(weights, inputs):
    """Spikes of each layer, by the equations in float64; inputs: sample × tick × neuron."""
    weights = [w.astype(np.float64) for w in weights]
    u = [np.zeros((len(inputs), w.shape[1])) for w in weights]
    counts = [0, 0, 0]
    for t in range(inputs.shape[1]):
        s = inputs[:, t].astype(np.float64)
        for layer, w in enumerate(weights):
            u[layer] = KEEP * u[layer] + s @ w
            s = (u[layer] >= THRESHOLDS[layer]).astype(np.float64)
            u[layer] -= THRESHOLDS[layer] * s
            counts[layer] += int(s.sum())
    return counts


def gather(weights):
    import torch

    rows = [torch.from_numpy(w.astype(np.float32)) for w in weights]

    def run(x):  # 1 × tick × neuron
        u = [torch.zeros(w.shape[1]) for w in rows]
        counts = [0, 0, 0]
        for t in range(x.shape[1]):
            s = x[0, t]
            for layer, w in enumerate(rows):
                active = torch.nonzero(s).flatten()
                u[layer].mul_(KEEP).add_(w[active].sum(0))
                s = (u[layer] >= THRESHOLDS[layer]).float()
                u[layer].sub_(s, alpha=THRESHOLDS[layer])
                counts[layer] += s.sum()
        return [int(c) for c in counts]

    return run


def batched_gemm(weights):
    import torch

    rows = [torch.from_numpy(w.astype(np.float32)) for w in weights]

    def run(x):  # sample × tick × neuron, one product per layer over all ticks
        counts = []
        for layer, w in enumerate(rows):
            current = x @ w
            u = torch.zeros(x.shape[0], w.shape[1])
            out = torch.empty_like(current)
            for t in range(x.shape[1]):
                u.mul_(KEEP).add_(current[:, t])
                s = (u >= THRESHOLDS[layer]).float()
                u.sub_(s, alpha=THRESHOLDS[layer])
                out[:, t] = s
            counts.append(out.sum())
            x = out
        return [int(c) for c in counts]

    return run


def numpy_batched(weights):
    rows = [w.astype(np.float32) for w in weights]

    def run(x):
        x = x.numpy()
        counts = []
        for layer, w in enumerate(rows):
            current = (x.reshape(-1, x.shape[2]) @ w).reshape(x.shape[0], x.shape[1], -1)
            u = np.zeros((x.shape[0], w.shape[1]), np.float32)
            out = np.empty_like(current)
            for t in range(x.shape[1]):
                u *= np.float32(KEEP)
                u += current[:, t]
                s = (u >= THRESHOLDS[layer]).astype(np.float32)
                u -= np.float32(THRESHOLDS[layer]) * s
                out[:, t] = s
            counts.append(int(out.sum()))
            x = out
        return counts

    return run


def snntorch(weights):
    import snntorch as snn
    import torch

    linear, cells = _layers(weights), []
    for threshold in THRESHOLDS:
        cells.append(snn.Leaky(beta=KEEP, threshold=threshold, reset_mechanism="subtract", reset_delay=False))

    def run(x):
        mem = [c.reset_mem() for c in cells]
        counts = [0, 0, 0]
        for t in range(x.shape[1]):
            s = x[:, t]
            for layer, (l, c) in enumerate(zip(linear, cells)):
                s, mem[layer] = c(l(s), mem[layer])
                counts[layer] += s.sum()
        return [int(c) for c in counts]

    return run


def norse(weights):
    import torch
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step

    linear = _layers(weights)
    # v + dt·tau_mem_inv·(v_leak − v + x) with dt·tau_mem_inv = 1/16: inputs are scaled by 16. Norse resets to a
    # value where the workload subtracts, so that its counts differ; the work is the same.
    params = [
        LIFBoxParameters(tau_mem_inv=torch.tensor(1000.0 / 16.0), v_th=torch.tensor(th), method="super")
        for th in THRESHOLDS
    ]

    def run(x):
        state = [LIFBoxFeedForwardState(torch.zeros(x.shape[0], w.shape[1])) for w in weights]
        counts = [0, 0, 0]
        for t in range(x.shape[1]):
            s = x[:, t]
            for layer, l in enumerate(linear):
                s, state[layer] = lif_box_feed_forward_step(16.0 * l(s), state[layer], params[layer], dt=0.001)
                counts[layer] += s.sum()
        return [int(c) for c in counts]

    return run


def sinabs(weights):
    import sinabs
    import sinabs.layers as sl
    import torch

    linear = _layers(weights)
    cells = [
        sl.LIF(
            tau_mem=-1.0 / float(np.log(KEEP)),
            spike_threshold=torch.tensor(th),
            norm_input=False,
            min_v_mem=None,
            reset_fn=sinabs.activation.MembraneSubtract(),
            spike_fn=sinabs.activation.SingleSpike,
        )
        for th in THRESHOLDS
    ]

    def run(x):
        counts = []
        for l, c in zip(linear, cells):
            c.reset_states()
            x = c(l(x))
            counts.append(x.sum())
        return [int(c) for c in counts]

    return run


def _layers(weights):
    import torch

    layers = []
    for w in weights:
        layer = torch.nn.Linear(*w.shape, bias=False)
        layer.weight.data = torch.from_numpy(w.T.astype(np.float32).copy())
        layers.append(layer)
    return layers


def best(work, repeats):
    """The least processor seconds of a call, and what it returned."""
    least, result = float("inf"), None
    for _ in range(repeats):
        begun = time.process_time()
        result = work()
        least = min(least, time.process_time() - begun)
    return least, result


def main():
    folder, wanted = sys.argv[1], sys.argv[2:] or ["gather", "snntorch", "norse", "sinabs", "gemm", "numpy"]
    weights, inputs = load(folder)
    expected = reference(weights, inputs)
    print("JSON " + json.dumps(dict(peer="float64 reference", label="W2", spikes=expected)), flush=True)
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    x = torch.from_numpy(inputs.astype(np.float32))
    # Events of the reference: what must be computed, whatever is.
    fan = np.array([w.shape[1] for w in weights])
    events = int((np.array([inputs.sum(), expected[0], expected[1]]) * fan).sum())
    makers = dict(
        gather=gather, gemm=batched_gemm, numpy=numpy_batched, snntorch=snntorch, norse=norse, sinabs=sinabs
    )
    for name in wanted:
        run = makers[name](weights)
        run(x[:1])
        one, _ = best(lambda: [run(x[i : i + 1]) for i in range(8)], 5)
        common.report(name, "W2", events / len(x) * 8, one, ms_per_sample=one / 8 * 1e3, batch=1)
        if name == "gather":
            continue  # rows of one sample only
        many, counts = best(lambda: run(x), 3)
        common.report(
            name, "W2", events, many, ms_per_sample=many / len(x) * 1e3, batch=len(x), spikes=counts,
            off=[abs(c - e) / e for c, e in zip(counts, expected)],
        )


main()
