"""How llama.cpp calls the tensors of a model of transformers, and where it lays them out otherwise."""

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map

ARCHITECTURES = {
    "gemma3_text": MODEL_ARCH.GEMMA3,
    "llama": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
}


class Names:
    """Of the model that a config.json describes."""

    def __init__(self, config):
        architecture = ARCHITECTURES[config["model_type"]]
        self.architecture = MODEL_ARCH_NAMES[architecture]
        self._map = get_tensor_name_map(architecture, config["num_hidden_layers"])
        self._heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}

    def tensor(self, name):
        found = self._map.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise SystemExit(f"llama.cpp has no name for {name}")
        return found

    def rotated(self, name, rows):
        """Of llama, llama.cpp rotates neighbouring rows of queries and keys, transformers halves of a head."""
        heads = next((count for linear, count in self._heads.items() if f".{linear}" in name), None)
        if self.architecture != "llama" or heads is None:
            return rows
        half = rows.shape[0] // heads // 2
        return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)
