"""A model with random weights: make_model.py SHAPE.json TOKENIZER_FOLDER OUT.

Speed and memory do not depend on the values. The tokenizer gets merges of random pairs until each id has a text, so that
its file is as large as that of such a model.
"""

import json
import os
import random
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoConfig, AutoModelForCausalLM

shape, tokenizer_folder, out = (Path(argument) for argument in sys.argv[1:])
torch.manual_seed(7)
config = AutoConfig.for_model(**json.loads(shape.read_text()))
AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(out)

tokenizer = json.loads(Path(tokenizer_folder, "tokenizer.json").read_text())
vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
special = {token["content"] for token in tokenizer["added_tokens"]}
short = [text for text in vocabulary if len(text) < 8 and text not in special]
draw = random.Random(5)
while len(vocabulary) < config.vocab_size:
    pair = draw.choices(short, k=2)
    if "".join(pair) not in vocabulary:
        vocabulary["".join(pair)] = len(vocabulary)
        merges.append(pair)
Path(out, "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
for name in ("tokenizer_config.json", "special_tokens_map.json"):
    shutil.copy(tokenizer_folder / name, out)
