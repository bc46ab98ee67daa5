import { describe, expect, it } from 'vitest';
import { handMade } from '../onnx/graph.fixture.ts';
import { integerAttribute, readGraph } from '../onnx/graph.ts';
import { provedAs } from './prove-attention.ts';

const windowsProved = (local_window_size: number): readonly (number | undefined)[] => {
  const attributes = { num_heads: 4, kv_num_heads: 2, local_window_size };
  const made = { opType: 'GroupQueryAttention', name: 'n', inputs: ['q'], outputs: ['y'], attributes };
  const [node] = readGraph(handMade({ nodes: [made] })).nodes;
  if (node === undefined) throw new Error('the graph has no node');
  const proved = provedAs({ node, heads: 4, kvHeads: 2, size: 16, pairs: 8 });
  for (const each of proved) expect(integerAttribute(each.node, 'num_heads')).toBe(4);
  return proved.map((each) => integerAttribute(each.node, 'local_window_size'));
};

describe('proof of attention', () => {
  it('has a window that binds, too, where that of the node is longer than what is computed', () => {
    expect(windowsProved(4096)).toEqual([4096, 67]);
    expect(windowsProved(20)).toEqual([20]);
    expect(windowsProved(-1)).toEqual([-1]);
  });
});
