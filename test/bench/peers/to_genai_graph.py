"""Gives LoRA inputs a default of rank 0, as GenAI wants them: to_genai_graph.py INJECTED.onnx OUT.onnx.

GenAI feeds the tensors of an adapter by name; without one the defaults hold. OUT belongs beside the weights file.
"""

import sys

import numpy
import onnx

model = onnx.load(sys.argv[1], load_external_data=False)
for value in model.graph.input:
    if not value.name.startswith("lora."):
        continue
    shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    model.graph.initializer.append(onnx.numpy_helper.from_array(numpy.zeros(shape, numpy.float32), value.name))
onnx.save(model, sys.argv[2])
