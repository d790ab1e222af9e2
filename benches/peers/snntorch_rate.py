"""Rate coding of MNIST pixels in snnTorch, by the recipe of the alignment study: what an independent program gets.

    pip install torch snntorch
    python benches/peers/snntorch_rate.py DATA [SEED ...]      (default 1 2 3)

The study's 6000 and 1000 images, 784-500-500-500-10 leaky integrate-and-fire neurons over 5 steps, decay and threshold learnt,
cross-entropy on the output membranes, Adam 5e-5, batches of 32, at most 20 epochs with a patience of 5. A spike with the probability
of a pixel's brightness at each step, drawn anew for each batch, in training and in every evaluation. The first 992 test images count,
because the study leaves an incomplete last batch out. Each line also has the accuracy under one draw of all test images that stays the
same over the epochs, as synop has it, and under ten more draws: how much the best epoch owes to luck.
"""
import gzip
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
from torch import nn

from snntorch_train import Net

torch.set_num_threads(1)
STEPS, BATCH, EPOCHS, PATIENCE = 5, 32, 20, 5


def archive(data):
    name = os.path.join(data, "mnist-alignment", "mnist10")
    entries = json.load(open(name + ".json"))["arrays"]
    raw = open(name + ".bin", "rb").read()

    def rows(key):
        entry = entries[key]
        return np.frombuffer(raw, entry["dtype"], int(np.prod(entry["shape"])), entry["offset"]).astype(np.int64)

    return rows


def images(data, part, rows):
    read = lambda kind: gzip.open(os.path.join(data, "mnist", f"{part}-{kind}-ubyte.gz")).read()
    pixels = np.frombuffer(read("images-idx3"), np.uint8, offset=16).reshape(-1, 784)[rows]
    labels = np.frombuffer(read("labels-idx1"), np.uint8, offset=8)[rows]
    return torch.tensor(pixels / np.float32(255)), torch.tensor(labels.astype(np.int64))


def draw(pixels, generator):
    shape = (STEPS, *pixels.shape)
    return (torch.rand(shape, generator=generator) < pixels).float()


class Counting(Net):
    """The network of the timing script behind 784 inputs; `forward` also gives output counts and all spikes."""

    def __init__(self):
        super().__init__(500)
        self.dense[0] = nn.Linear(784, 500)

    def run(self, x):
        states = [lif.init_leaky() for lif in self.lif]
        counts, spikes = 0.0, 0.0
        for t in range(STEPS):
            y = x[t]
            for k, (dense, lif) in enumerate(zip(self.dense, self.lif)):
                y, states[k] = lif(dense(y), states[k])
                spikes += y.sum().item()
            counts = counts + y
        return counts, spikes


def accuracy(net, spikes, labels):
    with torch.no_grad():
        counts, total = net.run(spikes)
    return 100 * (counts.argmax(1) == labels).float().mean().item(), total / len(labels)


def train(seed, data):
    rows = archive(data)
    x, y = images(data, "train", rows("idx_train"))
    test, truth = images(data, "t10k", rows("idx_test"))
    torch.manual_seed(seed)
    dice = torch.Generator().manual_seed(1000 + seed)
    fixed = draw(test, dice)
    net, loss = Counting(), nn.CrossEntropyLoss()
    adam = torch.optim.Adam(net.parameters(), lr=5e-5)
    whole = len(test) // BATCH * BATCH
    best, kept, epochs = -1.0, 0, []
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x))
        for k in range(len(x) // BATCH):
            chosen = order[k * BATCH : (k + 1) * BATCH]
            membranes, _ = net(draw(x[chosen], dice))
            total = sum(loss(u, y[chosen]) for u in membranes) / STEPS
            adam.zero_grad()
            total.backward()
            adam.step()
        found, spikes = accuracy(net, draw(test[:whole], dice), truth[:whole])
        again = [accuracy(net, draw(test, dice), truth)[0] for _ in range(10)]
        row = {
            "epoch": epoch,
            "accuracy": found,
            "accuracy_fixed_draw": accuracy(net, fixed, truth)[0],
            "accuracy_ten_draws": float(np.mean(again)),
            "deviation_of_draws": float(np.std(again, ddof=1)),
            "spikes": spikes,
            "loss": total.item(),
        }
        print(seed, {k: round(v, 2) for k, v in row.items()}, file=sys.stderr, flush=True)
        epochs.append(row)
        if found > best:
            best, kept = found, epoch
        elif epoch - kept >= PATIENCE:
            break
    neurons = [(lif.beta.item(), lif.threshold.item()) for lif in net.lif]
    return {
        "seed": seed,
        "best_epoch": kept,
        "accuracy": best,
        "spikes": epochs[kept]["spikes"],
        "best_of_fixed_draw": max(row["accuracy_fixed_draw"] for row in epochs),
        "epochs": epochs,
        "decays_and_thresholds": neurons,
    }


def main(data, *seeds):
    runs = [train(int(seed), data) for seed in seeds or (1, 2, 3)]
    print(json.dumps({"torch": torch.__version__, "runs": runs}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
