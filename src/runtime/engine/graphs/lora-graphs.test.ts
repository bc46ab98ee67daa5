import { describe, expect, it } from 'vitest';
import type { Site } from '../../compiled/compile-target.ts';
import type { Feeds, LoraTensors } from '../adapters/feeds.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { LoraGraphs } from './lora-graphs.ts';

const kinds = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'mlp.up_proj'];
const sites: readonly Site[] = [0, 1].flatMap((layer) =>
  kinds.map((kind) => ({ module: `model.layers.${layer}.${kind}`, inFeatures: 2, outFeatures: 2 })),
);

/** A graph whose logits tell the sites that an adapter has; `wrong` moves them. */
const fakeGraph = (of: readonly Site[], wrong = 0) => {
  const graph = {
    sites: of,
    released: false,
    feeds: (lora: LoraTensors) => ({ lora, release: () => undefined }) as unknown as Feeds,
    logitsOf: async (feeds: Feeds) =>
      Float32Array.of((feeds as unknown as { lora: LoraTensors }).lora.size + wrong),
    release: () => {
      graph.released = true;
    },
  };
  return graph as typeof graph & DecoderSession;
};

const makeGraphs = (wrong = 0) => {
  const opened: ReturnType<typeof fakeGraph>[] = [];
  const warnings: string[] = [];
  const full = fakeGraph(sites);
  const graphs = new LoraGraphs({
    full,
    openSubset: async (wanted) => {
      const graph = fakeGraph(sites.filter(wanted), wrong);
      opened.push(graph);
      return graph;
    },
    warn: (message) => warnings.push(message),
  });
  return { graphs, full, opened, warnings };
};

const of = (...names: string[]) =>
  [0, 1].map((layer) => names.map((name) => `model.layers.${layer}.${name}`)).flat();
const q = 'self_attn.q_proj';
const v = 'self_attn.v_proj';

describe('graphs for adapters', () => {
  it('have inputs for the kinds of linears that an adapter targets, and are shared', async () => {
    const { graphs, opened } = makeGraphs();
    const first = await graphs.graphFor(of(q, v));
    expect(first.sites.map(({ module }) => module)).toEqual(of(q, v));
    expect(await graphs.graphFor(of(v))).toBe(first);
    expect(await graphs.graphFor([`model.layers.1.${q}`])).toBe(first);
    expect(opened).toHaveLength(1);
  });

  it('are the full one for adapters of most linears, and for a third kind of subset', async () => {
    const { graphs, full, opened } = makeGraphs();
    expect(await graphs.graphFor(of(...kinds))).toBe(full);
    expect(await graphs.graphFor(of(...kinds.slice(0, 3)))).toBe(full);
    await graphs.graphFor(of(q));
    await graphs.graphFor(of(v));
    expect(await graphs.graphFor(of('mlp.up_proj'))).toBe(full);
    expect(opened).toHaveLength(2);
  });

  it('are never ones that answer otherwise: they are refused once and told', async () => {
    const { graphs, full, opened, warnings } = makeGraphs(1);
    expect(await graphs.graphFor(of(q, v))).toBe(full);
    expect(await graphs.graphFor(of(q, v))).toBe(full);
    expect(opened.map(({ released }) => released)).toEqual([true]);
    expect(warnings).toEqual([expect.stringContaining(`${q} ${v}`)]);
  });

  it('are all freed', async () => {
    const { graphs, full, opened } = makeGraphs();
    await graphs.graphFor(of(q));
    graphs.release();
    expect([full, ...opened].every(({ released }) => released)).toBe(true);
  });
});
