"""PEFT folder to a GGUF LoRA of llama.cpp: to_gguf_adapter.py PEFT_FOLDER FILE CONFIG.json, which is the base model's."""

import json
import sys
from pathlib import Path

import numpy
from gguf import GGUFWriter

import gguf_names
import lora_adapter

folder, file, config = sys.argv[1:]
names = gguf_names.Names(json.loads(Path(config).read_text()))
alpha, _, tensors = lora_adapter.read(folder)
writer = GGUFWriter(file, names.architecture)
writer.add_string("general.type", "adapter")
writer.add_string("adapter.type", "lora")
writer.add_float32("adapter.lora.alpha", float(alpha))
for (module, half), values in tensors.items():
    if half == "B":
        values = numpy.ascontiguousarray(names.rotated(module, values))
    writer.add_tensor(f"{names.tensor(module + '.weight')}.lora_{half.lower()}", values)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
