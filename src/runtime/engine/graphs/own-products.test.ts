import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../../test/support/wait.ts';
import { systemClock } from '../../../time/clock.ts';
import { externalWeights } from '../onnx/external-weights.ts';
import { tinyModel, tinyModelFolder } from '../onnx/graph.fixture.ts';
import { applyEdit, readGraph } from '../onnx/graph.ts';
import { renameOutput } from '../onnx/messages.ts';
import { MappedWeights, type NamedProduct } from '../ort/mapped-weights.ts';
import type { Operator, Products } from '../ort/operator.ts';
import { ownProducts, packProducts } from './own-products.ts';

const graph = tinyModel('int4');
const pathOf = (location: string): string => join(tinyModelFolder('int4'), location);
const products: Products = { levels: ['vnni'], bytesOf: () => 64, pack: () => Promise.resolve() };
/** The process that compares cannot load it, and ends. */
const operator: Operator = { path: '/nowhere/lora.so', digest: 'abc', instructionSet: 'avx512', products };

const started = async (folder: string, { signal = new AbortController().signal, limitMs = 60_000 } = {}) => {
  const warnings: string[] = [];
  const weights = MappedWeights.open(externalWeights(readGraph(graph)), pathOf);
  const toOwn = await ownProducts(
    folder,
    { graph, weights },
    {
      exported: pathOf('model.onnx'),
      operator,
      warn: (message) => warnings.push(message),
      doing: () => undefined,
      signal,
      limitMs,
      threads: 1,
      headSize: 16,
      cacheDir: folder,
      clock: systemClock,
    },
  ).finally(() => weights.release());
  expect(toOwn(graph)).toBe(graph);
  return warnings;
};

const hasProcess = (): boolean => process.getActiveResourcesInfo().includes('ProcessWrap');

/** A start that is given up while it compares; what the folder had then. */
const stopped = async (folder: string): Promise<ReadonlyMap<string, Buffer>> => {
  const stop = new AbortController();
  await waitFor('the end of other processes', () => !hasProcess());
  const start = started(folder, { signal: stop.signal });
  await vi.waitFor(() => expect(hasProcess()).toBe(true), { interval: 1, timeout: 20_000 });
  const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  stop.abort();
  // The engine process ends before anything else runs.
  expect(readdirSync(folder)).toEqual([]);
  await expect(start).rejects.toThrow();
  return files;
};

/** A start that is killed while it compares, with all that it started; or power is cut. */
const killed = async (folder: string): Promise<void> => {
  for (const [name, bytes] of await stopped(folder)) writeFileSync(join(folder, name), bytes);
};

describe('a comparison of products', () => {
  it('that dies says why in one line, leaves ONNX Runtime’s, and is made once more, at the next start', async () => {
    const folder = folderOfTest();
    const why = /^linears keep ONNX Runtime's products: Error: the native operator \/nowhere\/lora\.so .*$/;
    const [first = '', ...more] = await started(folder);
    expect(more).toEqual([]);
    expect(first).toMatch(why);
    expect(first).toMatch(/; they are compared once more at the next start$/);
    const second = await started(folder);
    expect(second).toEqual([expect.stringMatching(why)]);
    const [name = ''] = readdirSync(folder);
    const file = join(folder, name);
    expect(second[0]?.endsWith(`; they are compared again once ${file} is deleted`)).toBe(true);
    const found = readFileSync(file, 'utf8');
    expect(await started(folder, { limitMs: 1 })).toEqual(second);
    expect(readFileSync(file, 'utf8')).toBe(found);
  });

  it('that takes too long ends', async () => {
    expect(await started(folderOfTest(), { limitMs: 1 })).toEqual([
      "linears keep ONNX Runtime's products: the process that compares them took too long; they are compared once more at the next start",
    ]);
  });

  it('that nobody waits for any more is made at the next start', async () => {
    const folder = folderOfTest();
    for (let times = 0; times < 4; times += 1) await stopped(folder);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('that is killed with its start is made at the next two, then not again, which is told with what to do', async () => {
    const folder = folderOfTest();
    for (let times = 0; times < 3; times += 1) await killed(folder);
    const warnings = await started(folder);
    expect(warnings).toEqual([
      expect.stringMatching(
        /: 3 comparisons in a row began and did not end, as after power cuts and kills, .* `adaptlet model check` .* once \S+ is deleted$/,
      ),
    ]);
    expect(await started(folder, { limitMs: 1 })).toEqual(warnings);
    const [name = '', ...more] = readdirSync(folder);
    expect(more).toEqual([]);
    rmSync(join(folder, name));
    expect(await started(folder, { limitMs: 1 })).toEqual([expect.stringContaining('took too long')]);
  });

  it('that ends by itself, or is stopped, ends the row of those that were killed', async () => {
    const folder = folderOfTest();
    for (const end of [stopped, started]) {
      for (let times = 0; times < 2; times += 1) await killed(folder);
      await end(folder);
    }
    expect(readdirSync(folder)).toEqual([expect.stringMatching(/^products-/)]);
  });
});

it('what is packed has names that the graph has not', async () => {
  const before = readGraph(graph);
  const [node] = before.nodes;
  const nodes = new Map([[node!, [renameOutput(node!, 'packed.0')]]]);
  const none = { newInputs: [], staleShapes: new Set<string>(), outputs: new Map<string, Buffer>() };
  const taken = applyEdit(before, { nodes, ...none });
  const named: NamedProduct[] = [];
  const weights = MappedWeights.open(externalWeights(readGraph(graph)), pathOf);
  weights.pack = (all) => {
    named.push(...all);
    return Promise.resolve();
  };
  await packProducts(taken, weights, { products, location: 'model.onnx' });
  weights.release();
  expect(taken.includes('packed.0')).toBe(true);
  expect(named.length).toBeGreaterThan(1);
  for (const { name } of named) expect(taken.includes(name)).toBe(false);
});
