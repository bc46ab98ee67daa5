import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { Pairs } from '../adapters/pairs.ts';
import { cpuProvider } from '../ort/providers.ts';
import { openOnProvider, proofKeyOf } from './on-provider.ts';

const root = folderOfTests();

const provider = 'OpenVINOExecutionProvider?device_type=GPU';
const sites = [{ module: 'model.layers.0.mlp.up_proj', inFeatures: 4, outFeatures: 4 }];

type Fault = { readonly wrong?: boolean; readonly operators?: Readonly<Record<string, number>> };

/** Graphs of numbers that say what was fed; everything that was opened is counted. */
const graphsWith = ({ wrong = false, operators = { OpenVINOExecutionProvider: 3 } }: Fault = {}) => {
  const opened: string[] = [];
  const released: string[] = [];
  const session = (name: string, offset: number) => {
    opened.push(name);
    return {
      sites,
      offset,
      feeds: (pairs: Pairs): Feeds => {
        const [pair] = pairs.values();
        return { pairs: pairs.size, at: pair?.a.address, release: () => undefined } as unknown as Feeds;
      },
      takeOperators: async () => operators,
      release: () => void released.push(name),
    };
  };
  let fed = 0;
  const open = async (cacheDir: string, on = provider) =>
    await openOnProvider({
      provider: on,
      graphDigest: 'g',
      cacheDir,
      open: async (graph) => session(graph, wrong ? 1 : 0),
      openExact: async (graph) => session(`${graph}, exact`, 0),
      answer: async ({ offset }) => {
        fed += 1;
        const which = (fed - 1) % 3;
        return [0, 1].map((input) =>
          Float32Array.from({ length: 6 }, (_, at) => (at === (2 * which + input + offset) % 6 ? 9 : 0)),
        );
      },
    });
  return { open, opened, released };
};
const folder = (): string => mkdtempSync(join(root, 'cache-'));

describe('both graphs on a provider', () => {
  it('are compared with exact ones, of which one copy is in memory at a time, once', async () => {
    const cacheDir = folder();
    const first = graphsWith();
    const pair = await first.open(cacheDir);
    expect(pair.operators).toEqual({ OpenVINOExecutionProvider: 3 });
    expect(first.opened).toEqual(['base, exact', 'lora, exact', 'base', 'lora']);
    expect(first.released).toEqual(['base, exact', 'lora, exact']);
    const second = graphsWith();
    await second.open(cacheDir);
    expect(second.opened).toEqual(['base', 'lora']);
    // What holds for one provider says nothing of another.
    const third = graphsWith();
    await third.open(cacheDir, 'OpenVINOExecutionProvider?device_type=NPU');
    expect(third.opened).toContain('lora, exact');
  });

  it('are refused and freed when it answers something else, each time', async () => {
    const cacheDir = folder();
    for (let time = 0; time < 2; time += 1) {
      const graphs = graphsWith({ wrong: true });
      await expect(graphs.open(cacheDir)).rejects.toThrow(/not those of the CPU/);
      expect(graphs.released.toSorted()).toEqual(graphs.opened.toSorted());
    }
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  it('are refused and freed when it runs none of the operators', async () => {
    const graphs = graphsWith({ operators: { [cpuProvider]: 40 } });
    await expect(graphs.open(folder())).rejects.toThrow(/takes no operator/);
    expect(graphs.released.toSorted()).toEqual(graphs.opened.toSorted());
  });

  it('need no proof on the CPU', async () => {
    const graphs = graphsWith();
    expect(await graphs.open(folder(), cpuProvider)).toMatchObject({ operators: {} });
    expect(graphs.opened).toEqual(['base', 'lora']);
  });
});

describe('what was proved', () => {
  it('holds for its graph, provider, and library and processor only', () => {
    const key = proofKeyOf(cpuProvider, 'g', 'here');
    expect(proofKeyOf(cpuProvider, 'g', 'here')).toBe(key);
    const others = [
      proofKeyOf(cpuProvider, 'another', 'here'),
      proofKeyOf(provider, 'g', 'here'),
      proofKeyOf(cpuProvider, 'g', 'there'),
      proofKeyOf(cpuProvider, 'g'),
    ];
    expect(new Set([key, ...others]).size).toBe(5);
  });
});
