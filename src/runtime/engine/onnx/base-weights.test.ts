import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rowLengths } from '../../adapter/row-lengths.ts';
import type { FilePart, Site } from '../../compiled/compile-target.ts';
import { sitesWithWeights } from './base-weights.ts';
import { familyOf } from './families.ts';
import { handMade, llamaLayer, tinyModel, tinyModelFolder } from './graph.fixture.ts';
import { applyEdit, readGraph } from './graph.ts';
import { withInput } from './messages.ts';

const llama = familyOf('llama');

const tinySites = (precision: 'fp32' | 'int4'): readonly Site[] => {
  const folder = tinyModelFolder(precision);
  const graph = join(folder, 'model.onnx');
  return sitesWithWeights(readGraph(tinyModel(precision)), llama, {
    pathOf: (location) => join(folder, location),
    graph,
  });
};

const floatsAt = ({ path, offset, length }: FilePart): Float32Array =>
  new Float32Array(readFileSync(path).buffer.slice(offset, offset + length));

/** What takes the float32 weights of a linear away: A is the identity. */
const without = (site: Site) => {
  const stored = site.weights![0]!.stored;
  const { inFeatures, outFeatures } = site;
  const columns = floatsAt(stored.values);
  const a = new Float32Array(inFeatures ** 2);
  const b = new Float32Array(outFeatures * inFeatures);
  for (let at = 0; at < inFeatures; at += 1) {
    a[at * inFeatures + at] = 1;
    for (let out = 0; out < outFeatures; out += 1)
      b[out * inFeatures + at] = -columns[at * outFeatures + out]!;
  }
  return { rank: inFeatures, a, b };
};

describe('the weights of the tiny model', () => {
  it('are read where they are: nothing is left of them without them, and little of those in 4 bits', async () => {
    const quantised = tinySites('int4');
    for (const [place, site] of tinySites('fp32').entries()) {
      const change = without(site);
      const none = { rank: 1, a: new Float32Array(site.inFeatures), b: new Float32Array(site.outFeatures) };
      const whole = Math.hypot(...(await rowLengths(site, none))!);
      expect(whole).toBeGreaterThan(1);
      expect(Math.hypot(...(await rowLengths(site, change))!)).toBeLessThan(1e-6 * whole);
      const lost = Math.hypot(...(await rowLengths(quantised[place]!, change))!);
      expect(lost / whole).toBeGreaterThan(0.001);
      expect(lost / whole).toBeLessThan(0.15);
    }
  });
});

describe('weights that are not read', () => {
  const { nodes, weights = {} } = llamaLayer(0);
  const sites = (changed: typeof nodes): readonly Site[] =>
    sitesWithWeights(readGraph(handMade({ nodes: changed, weights })), llama, { pathOf: (name) => name });

  it.each([
    [4, 'whose rows have an order of their own'],
    [5, 'to whose product a bias is added at once'],
  ])('are quantised ones with the input %d, %s', (place) => {
    const graph = readGraph(tinyModel('int4'));
    const [node] = graph.nodes.filter(
      ({ opType, name }) => opType === 'MatMulNBits' && name.includes('q_proj'),
    );
    const model = applyEdit(graph, {
      nodes: new Map([[node!, [withInput(node!, place, 'more')]]]),
      newInputs: [],
      staleShapes: new Set(),
      outputs: new Map(),
    });
    const folder = tinyModelFolder('int4');
    const pathOf = (location: string): string => join(folder, location);
    const unread = sitesWithWeights(readGraph(model), llama, { pathOf, graph: 'graph' })
      .filter((site) => site.weights === undefined)
      .map((site) => site.module);
    expect(unread).toEqual(['model.layers.0.self_attn.q_proj']);
  });

  it('are those that no file has', () => {
    for (const site of sites(nodes)) expect(site.weights).toBeUndefined();
  });
});
