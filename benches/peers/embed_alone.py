"""Embeddings as the alignment study has them for its spikes in time: one to train under, others to count under.

    pip install umap-learn
    python benches/peers/embed_alone.py DATA OUT [SEED ...] [--refit SEED]        (default seeds 1 2 3 4 5)
    synop run experiments/alignment-rates-study.toml --data OUT

The networks of the study are trained on an embedding that was fitted on training images and stopped by test images that the same
embedding transforms. Its table of spikes in time is then taken under an embedding that is fitted afresh on the test images, whose
seven axes have nothing to do with the seven that the networks know. OUT becomes a data folder with the training and test features of
DATA, or with `--refit` with those of an embedding fitted on 10,000 other training images, drawn with this seed, as the study draws
them anew for each of its networks; `alone-SEED.npy` are test images embedded by themselves, one file per random state. Features are divided by the largest magnitude of their batch, 128 samples in
training and 256 for the table, as the study's encoder does.
"""
import gzip
import os
import shutil
import sys

import numpy as np
import umap


def divided(features, batch):
    features = features.astype(np.float32).copy()
    for start in range(0, len(features), batch):
        features[start : start + batch] /= np.abs(features[start : start + batch]).max()
    return features


def pixels(data, part):
    raw = gzip.open(os.path.join(data, "mnist", f"{part}-images-idx3-ubyte.gz")).read()
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)


def main(data, out, *rest):
    rest = list(rest)
    refit = None
    if "--refit" in rest:
        at = rest.index("--refit")
        refit = int(rest[at + 1])
        del rest[at : at + 2]
    seeds = [int(seed) for seed in rest] or [1, 2, 3, 4, 5]
    folder, known = os.path.join(out, "mnist-umap7"), os.path.join(data, "mnist-umap7")
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(out, "mnist")):
        os.symlink(os.path.abspath(os.path.join(data, "mnist")), os.path.join(out, "mnist"))
    test = pixels(data, "t10k")
    index = "train12k_index.npy"
    if refit is None:
        shutil.copy(os.path.join(known, index), os.path.join(folder, index))
        train, held_out = (np.load(os.path.join(known, name)) for name in ("train12k.npy", "test.npy"))
    else:
        rows = np.random.default_rng(refit).permutation(60_000)[:10_000]
        np.save(os.path.join(folder, index), rows)
        learnt = umap.UMAP(n_components=7, random_state=42).fit(pixels(data, "train")[rows])
        train, held_out = learnt.embedding_, learnt.transform(test)
    np.save(os.path.join(folder, "train12k.npy"), divided(train, 128))
    np.save(os.path.join(folder, "test.npy"), divided(held_out, 128))
    for seed in seeds:
        file = os.path.join(out, f"alone-{seed}.npy")
        if not os.path.exists(file):
            alone = umap.UMAP(n_components=7, random_state=seed).fit_transform(test)
            np.save(file, divided(alone, 256))


if __name__ == "__main__":
    main(*sys.argv[1:])
