"""Exports a snnTorch network as NIR, with recorded inputs and spikes to check it against."""
import nir
import numpy as np
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir

torch.manual_seed(1)


def leaky(n, beta, **more):  # the export wants one beta and one threshold per neuron
    return snn.Leaky(beta=torch.full((n,), beta), threshold=torch.full((n,), 0.4), init_hidden=True, **more)


net = torch.nn.Sequential(  # your own network here
    torch.nn.Linear(20, 30), leaky(30, 0.9), torch.nn.Linear(30, 5), leaky(5, 0.8, output=True)
)
x = (torch.rand(50, 8, 20) < 0.3).float()  # your own input here: (time, sample, input)

recorded = {}  # name of the node -> spikes, step by step
for name, layer in net.named_modules():
    if isinstance(layer, snn.SpikingNeuron):
        layer.reset_mem()

        def keep(layer, args, out, name=name):
            recorded.setdefault(name, []).append(out[0] if isinstance(out, tuple) else out)

        layer.register_forward_hook(keep)
with torch.no_grad():
    for step in x:
        net(step)

np.save("input.npy", x.numpy().astype("uint8"))
spikes = {name: torch.stack(steps).numpy().astype("uint8") for name, steps in recorded.items()}
np.savez_compressed("recorded.npz", **spikes)
nir.write("net.nir", export_to_nir(net, x[0, 0]))
