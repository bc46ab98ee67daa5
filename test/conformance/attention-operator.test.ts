import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AttentionNode, nativeAttention } from '../../src/runtime/engine/onnx/attention-operator.ts';
import { handMade } from '../../src/runtime/engine/onnx/graph.fixture.ts';
import { readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { LoneAttention } from '../../src/runtime/engine/proofs/lone-attention.ts';
import { proveAttention } from '../../src/runtime/engine/proofs/prove-attention.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { operator } from './support/operator.ts';

/** Names of inputs by their place. */
const names = ['q', 'k', 'v', 'pk', 'pv', 'lengths', 'longest', 'cos', 'sin', 'positions', '', 'sinks'];
const outputs = ['y', 'present_k', 'present_v'];

const attentionOf = (
  {
    heads,
    kvHeads,
    size,
    pairs = size / 2,
  }: Omit<AttentionNode, 'node' | 'pairs'> & { readonly pairs?: number },
  has: readonly string[],
  attributes: Readonly<Record<string, number>> = {},
): AttentionNode => {
  const all = names.map((name) => (has.includes(name) ? name : ''));
  const inputs = all.slice(0, all.findLastIndex((name) => name !== '') + 1);
  const made = handMade({
    nodes: [
      {
        opType: 'GroupQueryAttention',
        name: 'attention',
        domain: 'com.microsoft',
        inputs,
        outputs,
        attributes: { num_heads: heads, kv_num_heads: kvHeads, ...attributes },
      },
    ],
    inputs: inputs.filter((name) => name !== ''),
    outputs,
  });
  const [node] = readGraph(made).nodes;
  if (node === undefined) throw new Error('the graph has no node');
  return { node, heads, kvHeads, size, pairs };
};

const bare = ['q', 'pk', 'pv', 'lengths', 'longest'];
const apart = [...bare, 'k', 'v'];
const turned = [...apart, 'cos', 'sin'];
const rotary = { do_rotary: 1 };

const doing = (): void => undefined;
const smollm = { heads: 9, kvHeads: 3, size: 64 };

describe.skipIf(operator === undefined)('attention by the native operator', () => {
  const prove = (nodes: readonly AttentionNode[], share?: number, threads = 1): Promise<void> =>
    operator === undefined
      ? Promise.resolve()
      : proveAttention(nodes, { threads, operator, share, cacheDir: folderOfFile(), doing, warn: doing });

  it.each<readonly [string, AttentionNode]>([
    ['heads of their own', attentionOf({ heads: 4, kvHeads: 4, size: 32 }, apart)],
    ['one head of keys for all', attentionOf({ heads: 71, kvHeads: 1, size: 64 }, turned, rotary)],
    ['query, keys and values in one', attentionOf(smollm, [...bare, 'cos', 'sin'], rotary)],
    ['pairs that are neighbours', attentionOf(smollm, turned, { ...rotary, rotary_interleaved: 1 })],
    ['positions of some features', attentionOf({ ...smollm, pairs: 16 }, turned, rotary)],
    ['positions that are told', attentionOf(smollm, [...turned, 'positions'], rotary)],
    ['a window', attentionOf(smollm, turned, { ...rotary, local_window_size: 20 })],
    ['a window of one block and a bit', attentionOf(smollm, turned, { ...rotary, local_window_size: 67 })],
    ['a window that binds in no piece', attentionOf(smollm, turned, { ...rotary, local_window_size: 4096 })],
    ['a smooth softmax', attentionOf(smollm, turned, { ...rotary, smooth_softmax: 1 })],
    ['sinks', attentionOf({ heads: 8, kvHeads: 2, size: 64 }, [...turned, 'sinks'], rotary)],
    ['large heads', attentionOf({ heads: 4, kvHeads: 1, size: 256 }, turned, rotary)],
    ['heads of 80, which no kernel is made for', attentionOf({ heads: 4, kvHeads: 2, size: 80 }, apart)],
  ])('is near ONNX Runtime’s, and the same bits in any piece and row: %s', async (_, node) => {
    await prove([node]);
    await prove([node], undefined, 2);
  });

  it('does so for attention of each export', async () => {
    const folder = join(import.meta.dirname, '../fixtures/exports');
    let proved = 0;
    for (const family of readdirSync(folder, { withFileTypes: true })) {
      if (!family.isDirectory()) continue;
      for (const name of readdirSync(join(folder, family.name))) {
        const path = join(folder, family.name, name, 'model.onnx');
        const graph = (() => {
          try {
            return readFileSync(path);
          } catch {
            return undefined;
          }
        })();
        const found = graph && nativeAttention(graph, 16, 1);
        if (found === undefined || 'lacks' in found) continue;
        await prove(found.nodes);
        proved += 1;
      }
    }
    expect(proved).toBeGreaterThan(10);
  });

  it('is the same for more threads than it counts on', async () => {
    await prove([attentionOf(smollm, turned, rotary)], undefined, 12);
  });

  it('is proved also where the verdict cannot be kept, which is told', async () => {
    const cacheDir = join(folderOfFile(), 'file');
    writeFileSync(cacheDir, '');
    const warnings: string[] = [];
    const warn = (message: string) => warnings.push(message);
    if (operator === undefined) throw new Error('there is no operator');
    await proveAttention([attentionOf(smollm, turned, rotary)], {
      threads: 1,
      operator,
      cacheDir,
      doing,
      warn,
    });
    expect(warnings).toEqual([expect.stringContaining('is not kept')]);
  });

  it('refuses a row that has more earlier tokens than keys', async () => {
    const lone = await LoneAttention.open(attentionOf(smollm, apart), 1, operator);
    try {
      await expect(lone.step({ before: [161], tokens: 1 })).rejects.toThrow(/more earlier tokens than keys/);
    } finally {
      lone.release();
    }
  });

  it('is refused where it is further from ONNX Runtime’s than allowed', async () => {
    await expect(prove([attentionOf(smollm, turned, rotary)], 1e-12)).rejects.toThrow(
      /attention by the native operator is \d.* from ONNX Runtime's/,
    );
  });
});
