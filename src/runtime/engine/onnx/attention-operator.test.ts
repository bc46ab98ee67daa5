import { describe, expect, it } from 'vitest';
import { nativeAttention } from './attention-operator.ts';
import { handMade, tinyModel } from './graph.fixture.ts';
import { integerAttribute, readGraph } from './graph.ts';
import { quantiseCache } from './quantised-cache.ts';
import { nodeField, operatorDomain } from './schema.ts';
import { contentOf, readFields } from './wire.ts';

const exported = tinyModel('fp32');

/** Domains of the attention of a graph, and everything else of its nodes. */
const attentionOf = (model: Buffer) =>
  readGraph(model)
    .nodes.filter(({ opType }) => opType === 'GroupQueryAttention')
    .map(({ bytes }) => {
      const fields = readFields(bytes);
      const text = (of: readonly { start: number; end: number }[]): readonly string[] =>
        of.map(({ start, end }) => bytes.subarray(start, end).toString('hex'));
      const isDomain = ({ number }: { number: number }): boolean => number === nodeField.domain;
      return {
        domains: fields.filter(isDomain).map((field) => contentOf(bytes, field).toString()),
        rest: text(fields.filter((field) => !isDomain(field))),
      };
    });

describe('a graph with attention by the native operator', () => {
  it('has the same nodes in another domain, and says what they are', () => {
    const made = nativeAttention(exported, 16, 8);
    if (made === undefined || 'lacks' in made) throw new Error(JSON.stringify(made));
    expect(made.nodes).toHaveLength(2);
    expect(made.nodes[0]).toMatchObject({ heads: 4, kvHeads: 2, size: 16, pairs: 8 });
    const before = attentionOf(exported);
    expect(attentionOf(made.model)).toEqual(before.map(({ rest }) => ({ domains: [operatorDomain], rest })));
  });

  it('says the threads where they are more than the operator counts on', () => {
    const made = nativeAttention(exported, 16, 12);
    if (made === undefined || 'lacks' in made) throw new Error(JSON.stringify(made));
    const told = readGraph(made.model).nodes.filter(({ opType }) => opType === 'GroupQueryAttention');
    expect(told.map((node) => integerAttribute(node, 'threads'))).toEqual([12, 12]);
  });

  it('is left to ONNX Runtime where the operator lacks something, which is named', () => {
    expect(nativeAttention(exported, 24, 1)).toEqual({ lacks: 'heads of 24 features' });
    expect(nativeAttention(exported, 272, 1)).toEqual({ lacks: 'heads of 272 features' });
    const scales = new Map(
      [0, 1].flatMap((layer) =>
        ['key', 'value'].map(
          (kind) => [`past_key_values.${layer}.${kind}`, new Float32Array(32).fill(1)] as const,
        ),
      ),
    );
    expect(nativeAttention(quantiseCache(exported, scales), 16, 1)).toMatchObject({
      lacks: expect.stringContaining('input 12 of ') as string,
    });
  });

  it('is nothing of a graph without such attention', () => {
    const other = handMade({ nodes: [{ opType: 'Relu', name: 'n', inputs: ['x'], outputs: ['y'] }] });
    expect(nativeAttention(other, 16, 1)).toBeUndefined();
  });
});
