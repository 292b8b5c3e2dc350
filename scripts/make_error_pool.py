#!/usr/bin/env python3
"""Write what a model says of the test tiles of a split by lists, for the change simulator.

    python scripts/make_error_pool.py MODEL EuroSAT_RGB.zip TEST.txt tests/monitor/error_pool.npz

The file holds class probabilities in 1/250 and true labels of tiles that the model has never
seen, and its confusion matrix on validation: how the model errs, and what it knows of that.
"""

import argparse
from pathlib import Path

import numpy as np

from geoclass.landcover import quantise_probabilities
from geoclass.learn.dataset import read_tiles
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="EuroSAT_RGB.zip, or the same unpacked")
    parser.add_argument("test", type=Path, help="names of the test tiles, one a line")
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    model = load_model(args.model)
    tiles = read_tiles(args.data)
    listed = set(args.test.read_text().split())
    chosen = [i for i, name in enumerate(tiles.names) if Path(name).name in listed]
    prediction = Classifier(model).predict(tiles.images[chosen])
    labels = tiles.labels[chosen]
    np.savez_compressed(
        args.target,
        probabilities=quantise_probabilities(prediction.probabilities),
        labels=labels.astype(np.uint8),
        confusion=np.array(model.contract.confusion),
        class_shares=np.array(model.contract.class_shares),
        model=np.array(model.sha256),
    )
    accuracy = float((prediction.probabilities.argmax(axis=1) == labels).mean())
    print(f"wrote {args.target}: {len(chosen)} tiles, accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
