import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Tensor = { readonly shape: readonly number[]; readonly data: Float32Array | Float16Array };

/** A safetensors file of fp32 and fp16 tensors (https://github.com/huggingface/safetensors#format). */
export const safetensors = (tensors: Readonly<Record<string, Tensor>>): Uint8Array => {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const dtype = data instanceof Float16Array ? 'F16' : 'F32';
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8, ' '));
  const file = new Uint8Array(8 + json.length + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  let at = 8 + json.length;
  for (const { data } of Object.values(tensors)) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
};

/** Small reproducible values around zero. */
const noise = (length: number, seed: number, scale: number): Float32Array => {
  let state = seed >>> 0 || 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32 - 0.5) * scale;
  });
};

export type Llama = {
  readonly model_type?: string;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim?: number;
};

export type SyntheticAdapter = {
  readonly rank: number;
  readonly seed?: number;
  readonly scale?: number;
  /** float32, as PEFT trains, or float16, as adapters are published for inference. */
  readonly precision?: 'float32' | 'float16';
  /** Target modules, such as `q_proj`. Absent: every linear. */
  readonly modules?: readonly string[];
};

/**
 * Writes a PEFT folder with random weights on linears of a llama or phi3 model: an adapter of any size for benches and for
 * faults.
 */
export const writeSyntheticAdapter = async (
  folder: string,
  configFile: string,
  options: SyntheticAdapter,
): Promise<void> => {
  const c = JSON.parse(await readFile(configFile, 'utf8')) as Llama;
  const head = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const [q, kv] = [c.num_attention_heads * head, c.num_key_value_heads * head];
  const apart: Record<string, [inFeatures: number, outFeatures: number]> = {
    'self_attn.q_proj': [c.hidden_size, q],
    'self_attn.k_proj': [c.hidden_size, kv],
    'self_attn.v_proj': [c.hidden_size, kv],
    'mlp.gate_proj': [c.hidden_size, c.intermediate_size],
    'mlp.up_proj': [c.hidden_size, c.intermediate_size],
  };
  const fused: typeof apart = {
    'self_attn.qkv_proj': [c.hidden_size, q + 2 * kv],
    'mlp.gate_up_proj': [c.hidden_size, 2 * c.intermediate_size],
  };
  const all: typeof apart = {
    ...(c.model_type === 'phi3' ? fused : apart),
    'self_attn.o_proj': [q, c.hidden_size],
    'mlp.down_proj': [c.intermediate_size, c.hidden_size],
  };
  const { rank, seed = 1, scale = 0.02, precision = 'float32', modules } = options;
  const weights = (length: number, of: number) => {
    const values = noise(length, of, scale);
    return precision === 'float16' ? Float16Array.from(values) : values;
  };
  const linears = Object.fromEntries(
    Object.entries(all).filter(([name]) => modules?.includes(name.split('.')[1] ?? '') ?? true),
  );
  const tensors: Record<string, Tensor> = {};
  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    for (const [name, [inFeatures, outFeatures]] of Object.entries(linears)) {
      const module = `base_model.model.model.layers.${layer}.${name}`;
      const s = seed * 1000 + layer * 10;
      tensors[`${module}.lora_A.weight`] = {
        shape: [rank, inFeatures],
        data: weights(rank * inFeatures, s),
      };
      tensors[`${module}.lora_B.weight`] = {
        shape: [outFeatures, rank],
        data: weights(outFeatures * rank, s + 1),
      };
    }
  }
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'adapter_model.safetensors'), safetensors(tensors));
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: rank,
    lora_alpha: rank,
    target_modules: Object.keys(linears).map((name) => name.split('.')[1]),
    bias: 'none',
    base_model_name_or_path: 'synthetic',
  };
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config, undefined, 2));
};
