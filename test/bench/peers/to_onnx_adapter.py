"""PEFT folder to .onnx_adapter for the graph of to_genai_graph.py: to_onnx_adapter.py PEFT_FOLDER FILE."""

import sys

import numpy
import onnxruntime

import lora_adapter

alpha, rank, tensors = lora_adapter.read(sys.argv[1])
parameters = {}
for (module, half), values in tensors.items():
    # The graph takes B as [rank, out].
    laid_out = numpy.ascontiguousarray(values.T) * numpy.float32(alpha / rank) if half == "B" else values
    parameters[f"lora.{module}.{half}"] = onnxruntime.OrtValue.ortvalue_from_numpy(laid_out)
adapter = onnxruntime.AdapterFormat()
adapter.set_adapter_version(1)
adapter.set_model_version(1)
adapter.set_parameters(parameters)
adapter.export_adapter(sys.argv[2])
