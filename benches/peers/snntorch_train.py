"""CPU time of one training step: snnTorch against synop, same network, same machine, one thread.

    pip install torch snntorch
    python benches/peers/snntorch_train.py [HIDDEN ...]      (default 128 500)

Both train 21-H-H-H-10 leaky integrate-and-fire neurons over 5 steps on a batch of 32 with
learnt decays and thresholds, arctan surrogate, cross-entropy on the output membranes, Adam.
"""
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import snntorch as snn
import torch
from torch import nn

torch.set_num_threads(1)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEPS, BATCH, SECONDS = 5, 32, 5.0


class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        sizes = [21, hidden, hidden, hidden, 10]
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.lif = nn.ModuleList(
            snn.Leaky(beta=0.95, threshold=1.0, learn_beta=True, learn_threshold=True) for _ in self.dense
        )

    def forward(self, x, count=False):
        states = [lif.init_leaky() for lif in self.lif]
        membranes, spikes = [], 0.0
        for t in range(STEPS):
            y = x[t]
            for k, (dense, lif) in enumerate(zip(self.dense, self.lif)):
                y, states[k] = lif(dense(y), states[k])
                if count:
                    spikes += float(y.detach().sum())
            membranes.append(states[-1])
        return membranes, spikes


def measure(hidden):
    torch.manual_seed(1)
    net, loss = Net(hidden), nn.CrossEntropyLoss()
    adam = torch.optim.Adam(net.parameters(), lr=5e-5)
    ramp = (torch.arange(STEPS).float() + 0.5).view(STEPS, 1, 1) * 8.0 / STEPS
    x = (2 * torch.rand(STEPS, BATCH, 21) - 1) * ramp
    labels = torch.arange(BATCH) % 10

    def step():
        membranes, _ = net(x)
        total = sum(loss(u, labels) for u in membranes) / STEPS
        adam.zero_grad()
        total.backward()
        adam.step()

    for _ in range(20):
        step()
    cpu, wall, updates = time.process_time(), time.time(), 0
    while time.time() - wall < SECONDS:
        step()
        updates += 1
    cpu = time.process_time() - cpu
    return {
        "cpu_ms_per_step": cpu * 1e3 / updates,
        "updates": updates,
        "spikes_per_sample": net(x, count=True)[1] / BATCH,
    }


def main():
    example = ["cargo", "run", "--release", "-q", "-p", "synop-benches", "--example", "train_step", "--"]
    rows = []
    for hidden in [int(a) for a in sys.argv[1:]] or [128, 500]:
        peer = measure(hidden)
        own = json.loads(subprocess.check_output(example + [str(hidden), str(SECONDS)], cwd=ROOT))
        ratio = peer["cpu_ms_per_step"] / own["cpu_ms_per_step"]
        rows.append({"hidden": hidden, "snntorch": peer, "synop": own, "ratio": ratio})
    print(json.dumps({"torch": torch.__version__, "snntorch": snn.__version__, "threads": 1, "runs": rows}, indent=1))


if __name__ == "__main__":
    main()
