import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { handMade } from './graph.fixture.ts';
import { attributeOf, floatAttribute, type Graph, integerAttribute, readGraph } from './graph.ts';
import { withNormsApart } from './norms-apart.ts';

const exportOf = (path: string): Buffer =>
  readFileSync(new URL(`../../../../test/fixtures/exports/${path}/model.onnx`, import.meta.url));

const attentionOf = (graph: Graph) => graph.nodes.filter(({ opType }) => opType === 'GroupQueryAttention');

/** Attention that takes these, and a norm for queries at its place. */
const handMadeWith = (key: string, norm: string): Buffer =>
  handMade({
    nodes: [
      {
        opType: 'GroupQueryAttention',
        name: 'attention',
        inputs: ['q', key, 'v', ...Array.from({ length: 11 }, () => ''), norm, norm],
        outputs: ['y'],
        attributes: { num_heads: 4, kv_num_heads: 2 },
      },
    ],
    weights: { norm: [16] },
  });

describe('norms of queries and keys that attention computes', () => {
  it.each(['qwen3', 'gemma3'])(
    'are nodes before it, as the builder writes them for the CPU: %s',
    (family) => {
      const exported = exportOf(`${family}/half`);
      const graph = readGraph(withNormsApart(exported));
      const attention = attentionOf(graph);
      expect(attention).toHaveLength(2);
      for (const [layer, node] of attention.entries()) {
        expect(node.inputs.slice(0, 2)).toEqual([
          `${node.name}/query_norm/normed`,
          `${node.name}/key_norm/normed`,
        ]);
        expect(node.inputs.slice(14)).toEqual(['', '']);
        expect(attributeOf(node, 'qk_norm_epsilon')).toBeUndefined();
        const before = attentionOf(readGraph(exported))[layer]!;
        expect(node.inputs.slice(2, 14)).toEqual(before.inputs.slice(2, 14));
        const norms = graph.nodes.filter(({ name }) => name.startsWith(node.name) && name.endsWith('/norm'));
        expect(norms.map(({ inputs }) => inputs[1])).toEqual(before.inputs.slice(14));
        for (const norm of norms) {
          expect(floatAttribute(norm, 'epsilon')).toBe(floatAttribute(before, 'qk_norm_epsilon'));
          expect(integerAttribute(norm, 'axis')).toBe(-1);
        }
      }
      // The same operators as there.
      const kinds = ({ nodes }: Graph) =>
        Object.entries(Object.groupBy(nodes, ({ opType }) => opType)).map(([kind, all]) => [
          kind,
          all?.length,
        ]);
      const norms = (of: Graph) => kinds(of).filter(([kind]) => kind === 'SimplifiedLayerNormalization');
      expect(norms(graph)).toEqual(norms(readGraph(exportOf(`${family}/apart`))));
    },
  );

  it.each([
    ['has none', handMadeWith('k', '')],
    ['takes query, key and value as one', handMadeWith('', 'norm')],
    ['is none of a builder', exportOf('qwen3/apart')],
  ])('are left alone where a graph %s', (_, model) => {
    expect(withNormsApart(model)).toBe(model);
  });

  it('are of the heads that it has', () => {
    const graph = readGraph(withNormsApart(handMadeWith('k', 'norm')));
    const shapes = [...graph.initializers].filter(([name]) => name.includes('together'));
    expect(shapes.map(([name]) => name)).toEqual([
      'attention/query_norm/together',
      'attention/key_norm/together',
    ]);
    expect(shapes.map(([, { bytes }]) => bytes.readBigInt64LE(bytes.length - 8))).toEqual([64n, 32n]);
  });
});
