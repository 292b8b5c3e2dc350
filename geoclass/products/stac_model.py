"""A model's card as a STAC item of the Machine Learning Model extension."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from geoclass.contract import Contract
from geoclass.products.stac_parts import (
    ANYTIME,
    EO,
    FILE,
    MLM,
    build_classes,
    describe_file,
    make_item,
)


def build_model_item(contract: Contract, sha256: str, file: Path, href: str) -> dict[str, Any]:
    """The item of a model that lies in `file`, which the item calls `href`; OSError.

    It may be used anywhere and any day, so it has no geometry and no end.
    """
    training = contract.training
    arch = str(training.recipe.get("arch", "unknown"))
    size = contract.tile_size
    model = {
        **describe_file(file, href),
        "title": f"Weights of {arch}",
        "type": "application/vnd.safetensors",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": "safetensors.torch.save_file",
        # Of the three ways to name bands that MLM knows, STAC 1.1 forbids its own in an item.
        "eo:bands": [{"name": band} for band in contract.bands],
    }
    properties = {
        **ANYTIME,
        "title": f"geoclass {arch}",
        "description": (
            f"Labels tiles of {size}×{size} pixels of {contract.gsd_m:g} m with one of "
            f"{len(contract.legend)} classes of land cover. Trained on {training.data_set}; right "
            f"on {training.validation_accuracy:.2%} of its validation tiles."
        ),
        "mlm:name": f"geoclass {arch} {sha256[:12]}",
        "mlm:architecture": arch,
        "mlm:tasks": ["scene-classification"],
        "mlm:framework": "PyTorch",
        "mlm:accelerator_constrained": False,
        "mlm:hyperparameters": dict(training.recipe),
        "mlm:input": [_describe_input(contract)],
        "mlm:output": [
            {
                "name": "probabilities",
                "description": (
                    f"Softmax of the logits divided by {contract.temperature:.4f}, "
                    "which makes them calibrated on validation."
                ),
                "tasks": ["scene-classification"],
                "result": {
                    "shape": [-1, len(contract.legend)],
                    "dim_order": ["batch", "class"],
                    "data_type": "float32",
                },
                "classification:classes": build_classes(contract.legend, statuses=False),
            }
        ],
        "geoclass:radiometry": contract.radiometry,
        "geoclass:split": asdict(training.split),
        "geoclass:scores": None if contract.scores is None else asdict(contract.scores),
    }
    return make_item(
        f"model-{sha256[:12]}", None, None, properties, {"model": model}, [EO, FILE, MLM]
    )


def _describe_input(contract: Contract) -> dict[str, Any]:
    scaling = [
        {"type": "z-score", "mean": 255 * mean, "stddev": 255 * std}
        for mean, std in zip(contract.mean, contract.std, strict=True)
    ]
    return {
        "name": "tiles",
        "description": f"8-bit values of radiometry {contract.radiometry}.",
        "bands": list(contract.bands),
        "input": {
            "shape": [-1, len(contract.bands), contract.tile_size, contract.tile_size],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "uint8",
        },
        "value_scaling": scaling,
    }
