"""Reads a LoRA adapter that PEFT wrote, for the peers that want it in another file."""

import json
import re
from pathlib import Path

import numpy
from safetensors.numpy import load_file

TENSOR = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight$")


def read(folder):
    """(lora_alpha, rank) and {(module, "A" or "B"): float32 array}; no patterns, no rsLoRA."""
    config = json.loads(Path(folder, "adapter_config.json").read_text())
    if config.get("use_rslora") or config.get("rank_pattern") or config.get("alpha_pattern"):
        raise SystemExit(f"{folder}: this script knows adapters of one rank and one alpha only")
    tensors = {}
    for name, values in load_file(Path(folder, "adapter_model.safetensors")).items():
        found = TENSOR.match(name)
        if found is None:
            raise SystemExit(f"{folder}: {name} is not a LoRA tensor")
        tensors[found["module"], found["half"]] = numpy.ascontiguousarray(values, dtype=numpy.float32)
    return config["lora_alpha"], config["r"], tensors
