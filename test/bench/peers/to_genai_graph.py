"""Gives LoRA inputs a default of rank 0, as GenAI wants them.

to_genai_graph.py INJECTED.onnx SITES.json OUT.onnx; SITES.json lists {"module", "inFeatures", "outFeatures"}.

GenAI feeds the tensors of an adapter by name; without one the defaults hold. OUT belongs beside the weights file.
"""

import json
import sys
from pathlib import Path

import numpy
import onnx

model = onnx.load(sys.argv[1], load_external_data=False)
columns = {}
for site in json.loads(Path(sys.argv[2]).read_text()):
    columns[f"lora.{site['module']}.A"] = site["inFeatures"]
    columns[f"lora.{site['module']}.B"] = site["outFeatures"]
for value in model.graph.input:
    if value.name not in columns:
        continue
    default = numpy.zeros((0, columns[value.name]), numpy.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(default, value.name))
onnx.save(model, sys.argv[3])
