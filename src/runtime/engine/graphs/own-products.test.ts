import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { systemClock } from '../../../time/clock.ts';
import { externalWeights } from '../onnx/external-weights.ts';
import { tinyModel, tinyModelFolder } from '../onnx/graph.fixture.ts';
import { applyEdit, readGraph } from '../onnx/graph.ts';
import { renameOutput } from '../onnx/messages.ts';
import { MappedWeights, type NamedProduct } from '../ort/mapped-weights.ts';
import type { Operator } from '../ort/operator.ts';
import { ownProducts, packProducts } from './own-products.ts';

const graph = tinyModel('int4');
const pathOf = (location: string): string => join(tinyModelFolder('int4'), location);
const products = { bytesOf: () => 64, pack: () => Promise.resolve() };
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

describe('a comparison of products', () => {
  it('that dies says why in one line, leaves ONNX Runtime’s, and is not made again', async () => {
    const folder = folderOfTest();
    const [first = '', ...more] = await started(folder);
    expect(more).toEqual([]);
    expect(first).toMatch(
      /^linears keep ONNX Runtime's products: Error: the native operator \/nowhere\/lora\.so .*$/,
    );
    const [name = ''] = readdirSync(folder);
    const file = join(folder, name);
    const found = readFileSync(file, 'utf8');
    expect(await started(folder, { limitMs: 1 })).toEqual([
      `linears keep ONNX Runtime's products: the process that compares them ended; without ${file} it is tried again`,
    ]);
    expect(readFileSync(file, 'utf8')).toBe(found);
  });

  it('that takes too long ends', async () => {
    expect(await started(folderOfTest(), { limitMs: 1 })).toEqual([
      "linears keep ONNX Runtime's products: the process that compares them took too long",
    ]);
  });

  it('that nobody waits for any more is made at the next start', async () => {
    const folder = folderOfTest();
    const stopped = new AbortController();
    const start = started(folder, { signal: stopped.signal });
    const verdicts = () => readdirSync(folder).filter((name) => name.endsWith('.json'));
    await vi.waitFor(() => expect(verdicts()).toHaveLength(1), { interval: 1 });
    stopped.abort();
    // This process may end now.
    expect(verdicts()).toEqual([]);
    await expect(start).rejects.toThrow();
    expect(verdicts()).toEqual([]);
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
