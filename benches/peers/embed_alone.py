"""Test images embedded by themselves: what the alignment study feeds to trained networks for its spikes in time.

    pip install umap-learn
    python benches/peers/embed_alone.py DATA OUT
    synop run experiments/alignment-rates.toml --data OUT --set seeds=1 --set 'damping=[10.0]' \
        --set 'training.select="validation"'

The networks of the study are trained on an embedding that was fitted on training images. Its table of spikes in time is then
taken under an embedding that is fitted afresh on the test images, whose seven axes have nothing to do with the seven that the
networks know. OUT becomes a data folder with the training features of DATA and these test features. Both are divided by the
largest magnitude of their batch, 128 samples in training and 256 for the table, as the study's encoder does.
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


def main(data, out):
    folder = os.path.join(out, "mnist-umap7")
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(out, "mnist")):
        os.symlink(os.path.abspath(os.path.join(data, "mnist")), os.path.join(out, "mnist"))
    raw = gzip.open(os.path.join(data, "mnist", "t10k-images-idx3-ubyte.gz")).read()
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    alone = umap.UMAP(n_components=7, random_state=42).fit_transform(pixels)
    train = np.load(os.path.join(data, "mnist-umap7", "train12k.npy"))
    np.save(os.path.join(folder, "train12k.npy"), divided(train, 128))
    np.save(os.path.join(folder, "test.npy"), divided(alone, 256))
    index = "train12k_index.npy"
    shutil.copy(os.path.join(data, "mnist-umap7", index), os.path.join(folder, index))


if __name__ == "__main__":
    main(*sys.argv[1:])
