"""A model of transformers as GGUF: to_gguf.py FOLDER SHAPE.json FILE.

Linears as Q4_0, embedding as Q8_0, the rest as float32.
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from safetensors import safe_open

sys.path.append(str(Path(__file__).parent.parent / "peers"))
import gguf_names

folder, shape, file = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
config = json.loads(shape.read_text())
names = gguf_names.Names(config)
gemma = config["model_type"] == "gemma3_text"
writer = GGUFWriter(file, names.architecture)


def add_hyperparameters():
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_0)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    if gemma:
        writer.add_sliding_window(config["sliding_window"])


def add_tokenizer():
    tokenizer = json.loads(Path(folder, "tokenizer.json").read_text())
    special = {token["id"] for token in tokenizer["added_tokens"]}
    texts = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(texts)
    writer.add_token_types(
        [TokenType.CONTROL if place in special else TokenType.NORMAL for place in range(len(texts))]
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])


def add_tensor(name, values):
    if name == "lm_head.weight":
        return
    if values.ndim == 1:
        # llama.cpp multiplies by the weight of a norm, Gemma by one more.
        writer.add_tensor(names.tensor(name), values + 1 if gemma else values)
        return
    kind = GGMLQuantizationType.Q8_0 if "embed_tokens" in name else GGMLQuantizationType.Q4_0
    rows = names.rotated(name, values)
    writer.add_tensor(names.tensor(name), quants.quantize(rows, kind), raw_dtype=kind)


def add_rope_factors(scaling):
    """What llama3 divides the frequencies by; llama.cpp reads it from a tensor."""
    frequencies = config["rope_theta"] ** -(numpy.arange(0, config["head_dim"], 2) / config["head_dim"])
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    smooth = numpy.clip((turns - low) / (high - low), 0, 1)
    factors = 1 / ((1 - smooth) / scaling["factor"] + smooth)
    writer.add_tensor("rope_freqs.weight", factors.astype(numpy.float32))


add_hyperparameters()
add_tokenizer()
for part in sorted(folder.glob("*.safetensors")):
    with safe_open(part, "pt") as tensors:
        for name in tensors.keys():
            add_tensor(name, tensors.get_tensor(name).to(torch.float32).numpy())
if "rope_scaling" in config:
    add_rope_factors(config["rope_scaling"])
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
