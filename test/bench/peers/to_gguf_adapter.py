"""PEFT folder to a GGUF LoRA of llama.cpp: to_gguf_adapter.py PEFT_FOLDER FILE HEADS KV_HEADS."""

import re
import sys

import numpy
from gguf import GGUFWriter

import lora_adapter

TENSOR_OF = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
MODULE = re.compile(r"^model\.layers\.(\d+)\.(.+)$")


def interleaved(rows, heads):
    """llama.cpp rotates neighbouring rows of queries and keys, PEFT's model halves of a head."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)


folder, file, heads, kv_heads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
heads_of = {"self_attn.q_proj": heads, "self_attn.k_proj": kv_heads}
alpha, _, tensors = lora_adapter.read(folder)
writer = GGUFWriter(file, "llama")
writer.add_string("general.type", "adapter")
writer.add_string("adapter.type", "lora")
writer.add_float32("adapter.lora.alpha", float(alpha))
for (module, half), values in tensors.items():
    layer, linear = MODULE.match(module).groups()
    if half == "B" and linear in heads_of:
        values = numpy.ascontiguousarray(interleaved(values, heads_of[linear]))
    writer.add_tensor(f"blk.{layer}.{TENSOR_OF[linear]}.weight.lora_{half.lower()}", values)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
