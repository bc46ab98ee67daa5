import { describe, expect, it } from 'vitest';
import { handMade } from './graph.fixture.ts';
import { integerAttribute, readGraph } from './graph.ts';
import { withWholeCaches } from './whole-caches.ts';

const graphWith = (attributes: Record<string, number>): Buffer =>
  handMade({
    nodes: [{ opType: 'GroupQueryAttention', name: 'attention', inputs: ['x'], outputs: ['y'], attributes }],
    weights: {},
  });

describe('caches of attention with a window', () => {
  it('are whole, and the window stays', () => {
    const attributes = { num_heads: 4, sliding_window_cache: 1, local_window_size: 64, do_rotary: 1 };
    const [node] = readGraph(withWholeCaches(graphWith(attributes))).nodes;
    const { sliding_window_cache: _, ...kept } = attributes;
    expect(integerAttribute(node!, 'sliding_window_cache')).toBeUndefined();
    for (const [name, value] of Object.entries(kept)) expect(integerAttribute(node!, name)).toBe(value);
  });

  it.each([{ local_window_size: 64 }, { sliding_window_cache: 0 }])(
    'are left alone where they are whole: %j',
    (attributes) => {
      const model = graphWith(attributes);
      expect(withWholeCaches(model)).toBe(model);
    },
  );
});
