"""ONNX Runtime GenAI as a peer: peer_genai.py MODEL_FOLDER. Adapters are .onnx_adapter files."""

import sys
import time

from protocol import serve

started = time.perf_counter()
import numpy
import onnxruntime_genai

model = onnxruntime_genai.Model(sys.argv[1])
adapters = onnxruntime_genai.Adapters(model)


def generate(adapter, ids, tokens):
    length = len(ids) + tokens
    parameters = onnxruntime_genai.GeneratorParams(model)
    # No end token before the last one: every answer has as many tokens as were asked for.
    parameters.set_search_options(do_sample=False, min_length=length, max_length=length)
    generator = onnxruntime_genai.Generator(model, parameters)
    if adapter is not None:
        generator.set_active_adapter(adapters, adapter)
    generator.append_tokens(numpy.array([ids], dtype=numpy.int32))
    for _ in range(tokens):
        generator.generate_next_token()
        yield int(generator.get_next_tokens()[0])


serve(
    started,
    load=lambda name, file: adapters.load(file, name),
    unload=adapters.unload,
    generate=generate,
)
