import { describe, expect, it } from 'vitest';
import { handMade } from './graph.fixture.ts';
import { integerAttribute, readGraph } from './graph.ts';
import { withMissingWindows } from './missing-windows.ts';

/** Attention of as many layers, the last one first, with these windows. */
const graphWith = (...windows: readonly (number | undefined)[]): Buffer =>
  handMade({
    nodes: [...windows.entries()].toReversed().map(([layer, window]) => ({
      opType: 'GroupQueryAttention',
      name: `attention ${layer}`,
      inputs: ['x', '', '', `past_key_values.${layer}.key`, `past_key_values.${layer}.value`],
      outputs: [`y${layer}`],
      attributes: { num_heads: 4, ...(window === undefined ? {} : { local_window_size: window }) },
    })),
  });

const windowsOf = (model: Buffer): readonly (number | undefined)[] =>
  readGraph(model)
    .nodes.map((node) => integerAttribute(node, 'local_window_size'))
    .toReversed();

describe('windows that a graph lacks', () => {
  it('are those of its layers, by the numbers of their caches', () => {
    const given = graphWith(-1, undefined, -1);
    const model = withMissingWindows(given, { tokens: 64, layers: [1, 2] });
    expect(windowsOf(model)).toEqual([-1, 64, 64]);
    expect(readGraph(model).nodes.map((node) => integerAttribute(node, 'num_heads'))).toEqual([4, 4, 4]);
    expect(withMissingWindows(model, { tokens: 64, layers: [1, 2] })).toBe(model);
  });

  it.each([
    ['has windows of its own', graphWith(-1, 32), { tokens: 64, layers: [0] }],
    ['has other attention in such a layer', graphWith(-1), { tokens: 64, layers: [0, 1] }],
    ['is of a model that has none', graphWith(-1), undefined],
    ['is of a model that has none in any layer', graphWith(-1), { tokens: 64, layers: [] }],
  ])('are left alone where it %s', (_, model, windows) => {
    expect(withMissingWindows(model, windows)).toBe(model);
  });
});
