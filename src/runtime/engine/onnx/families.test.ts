import { describe, expect, it } from 'vitest';
import { familyOf, placeOf } from './families.ts';

describe('the names of nodes', () => {
  it.each([
    ['llama', '/model/layers.3/attn/q_proj/MatMul', 3, ['q']],
    ['llama', '/model/layers.12/attn/o_proj/MatMul_Q4G32', 12, ['o']],
    ['llama', '/model/layers.0/attn/qkv_proj/MatMulNBits', 0, ['q', 'k', 'v']],
    ['qwen2', '/model/model/layers.0/self_attn/v_proj/MatMul', 0, ['v']],
    ['gemma2', '/model/layers.0/mlp/down_proj/MatMul_Q8', 0, ['down']],
    ['mistral', '/model/layers.0/mlp/gate_up_proj/MatMul', 0, ['gate', 'up']],
    ['phi', '/model/layers.1/self_attn/dense/MatMul', 1, ['o']],
    ['phi', '/model/layers.1/mlp/fc1/MatMul', 1, ['fc1']],
    ['bert', '/encoder/layer.5/attention/self/query/MatMul', 5, ['attention/self/query']],
    ['bert', '/bert/encoder/layer.0/attention/output/dense/MatMul_Q8', 0, ['attention/output/dense']],
    ['bert', '/m/encoder/layer.0/output/dense/MatMul/MatMulAddFusion', 0, ['output/dense']],
  ])('%s: %s is a linear of layer %i', (family, name, layer, parts) => {
    expect(placeOf(familyOf(family), name)).toMatchObject({ layer, parts });
  });

  it.each([
    ['llama', '/model/layers.0/self_attn/MatMul'],
    ['llama', '/model/layers.0/attn/q_proj/Add'],
    ['llama', '/model/layers.0/attn/q_proj/lora_A/MatMul'],
    ['llama', '/model/layers.0/attn/constructor/MatMul'],
    ['llama', '/lm_head/MatMul'],
    ['bert', '/encoder/layer.0/attention/self/MatMul_1'],
    ['bert', '/pooler/dense/Gemm'],
  ])('%s: %s is none of a layer', (family, name) => {
    expect(placeOf(familyOf(family), name)).toBeUndefined();
  });
});

describe('the families', () => {
  it.each([
    ['phi', 'self_attn.dense'],
    ['phi3', 'mlp.gate_up_proj'],
    ['gemma3_text', 'mlp.up_proj'],
    ['bert', 'attention.self.key'],
  ])('%s has the module %s', (family, module) => {
    expect(Object.keys(familyOf(family).modules)).toContain(module);
  });

  it('have modules of parts that some node computes', () => {
    for (const name of ['llama', 'phi', 'phi3', 'bert']) {
      const { modules, nodes } = familyOf(name);
      const parts = new Set(Object.values(nodes).flat());
      for (const part of Object.values(modules).flat()) expect(parts).toContain(part);
    }
  });

  it('refuse an architecture that none is for, with those that there are', () => {
    expect(() => familyOf('gpt2')).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/"gpt2".*llama.*qwen3.*phi3, bert/) }),
    );
  });
});
