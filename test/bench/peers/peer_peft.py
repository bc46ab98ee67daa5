"""torch and PEFT in float32 as a peer: peer_peft.py MODEL_FOLDER THREADS. Adapters are PEFT folders."""

import os
import sys
import time

from protocol import serve

threads = sys.argv[2]
# Idle threads would hold the cores that the other peers are measured on.
os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS=threads, OMP_WAIT_POLICY="PASSIVE")
started = time.perf_counter()
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

torch.set_num_threads(int(threads))
torch.set_grad_enabled(False)
base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
wrapped = None


def load(name, file):
    global wrapped
    if wrapped is None:
        wrapped = PeftModel.from_pretrained(base, file, adapter_name=name).eval()
    else:
        wrapped.load_adapter(file, adapter_name=name)


def unload(name):
    # The last adapter cannot go: the bench keeps one.
    wrapped.delete_adapter(name)


def generate(adapter, ids, tokens):
    if wrapped is not None and adapter is None:
        wrapped.base_model.disable_adapter_layers()
    elif adapter is not None:
        wrapped.base_model.enable_adapter_layers()
        wrapped.set_adapter(adapter)
    past = None
    step = torch.tensor([ids])
    for _ in range(tokens):
        out = (wrapped or base)(input_ids=step, past_key_values=past, use_cache=True, logits_to_keep=1)
        past = out.past_key_values
        token = int(out.logits[0, -1].argmax())
        yield token
        step = torch.tensor([[token]])


def together(adapters, prompts, tokens):
    wrapped.base_model.enable_adapter_layers()
    past = None
    step = torch.tensor(prompts)
    for _ in range(tokens):
        out = wrapped(
            input_ids=step, past_key_values=past, use_cache=True, logits_to_keep=1, adapter_names=adapters
        )
        past = out.past_key_values
        taken = out.logits[:, -1].argmax(dim=-1)
        yield taken.tolist()
        step = taken[:, None]


serve(started, load=load, unload=unload, generate=generate, together=together)
