import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AtWork } from '../../src/runtime/engine/host/at-work.ts';
import type { EngineHost } from '../../src/runtime/engine/host/engine-host.ts';
import { openHost } from '../../src/runtime/engine/process/open-host.ts';
import type { NamedTensor } from '../../src/runtime/engine/tasks.ts';
import { systemClock } from '../../src/time/clock.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { lookupModel, type RowSymbols, tensorModel, writeTensorModel } from '../support/tensor-model.ts';

const open = async (model: Buffer = tensorModel()): Promise<EngineHost> => {
  const folder = folderOfFile();
  return await openHost({
    modelDir: await writeTensorModel(join(folder, 'model'), model),
    cacheDir: join(folder, 'cache'),
    adapterBudgetBytes: 1 << 20,
    threads: 1,
    maxConcurrent: 4,
    maxQueue: 4,
    maxBatch: 4,
    // Longer than any test: a batch is run because it is full.
    maxBatchDelayMs: 60_000,
    clock: systemClock,
    atWork: new AtWork(() => undefined),
    random: () => 0,
    warn: () => undefined,
    doing: () => undefined,
    signal: new AbortController().signal,
  });
};

const rows = (...values: readonly (readonly [number, number])[]): NamedTensor => ({
  name: 'x',
  type: 'float32',
  shape: [values.length, 2],
  data: new Uint8Array(Float32Array.from(values.flat()).buffer),
});

let calls = 0;
const infer = async (host: EngineHost, ...inputs: readonly NamedTensor[]) => await inferAs(host, '', inputs);
const inferAs = async (host: EngineHost, namespace: string, inputs: readonly NamedTensor[]) => {
  calls += 1;
  const result = await host.infer?.(calls, { requestId: String(calls), inputs, namespace });
  return Object.fromEntries(
    (result?.outputs ?? []).map(({ name, shape, data }) => [
      name,
      { shape, values: [...new Float32Array(data.buffer)] },
    ]),
  );
};

describe('a graph of plain tensors', () => {
  let host: EngineHost;
  beforeAll(async () => {
    host = await open();
  });
  afterAll(() => host.close());

  it('is told from other models by its folder, and says what it takes and gives', () => {
    expect(host.info).toMatchObject({
      task: 'infer',
      sites: [],
      tensors: {
        inputs: [{ name: 'x', type: 'float32', shape: [-1, 2] }],
        outputs: [
          { name: 'y', type: 'float32', shape: [-1, 2] },
          { name: 'run', type: 'float32', shape: [-1] },
        ],
        batching: true,
      },
    });
  });

  it('runs requests that wait together, and gives each its own rows', async () => {
    const [one, two] = await Promise.all([
      infer(host, rows([1, 2])),
      infer(host, rows([3, 4], [5, 6], [7, 8])),
    ]);
    expect(one).toEqual({
      y: { shape: [1, 2], values: [2, 4] },
      run: { shape: [1], values: [4] },
    });
    expect(two).toEqual({
      y: { shape: [3, 2], values: [6, 8, 10, 12, 14, 16] },
      run: { shape: [3], values: [4, 4, 4] },
    });
  });

  it('runs a request of more rows than a batch by itself', async () => {
    const answer = await infer(host, rows([1, 1], [1, 1], [1, 1], [1, 1], [1, 1]));
    expect(answer['run']?.values).toEqual([5, 5, 5, 5, 5]);
  });

  it('gives namespaces turns: one with a row does not wait for all that another one asked before', async () => {
    const many = [1, 2, 3, 4].map((row) => [row, row] as const);
    const answered: string[] = [];
    const ask = async (name: string, namespace: string, tensor: NamedTensor): Promise<void> => {
      await inferAs(host, namespace, [tensor]);
      answered.push(name);
    };
    await Promise.all([
      ...[1, 2, 3].map((count) => ask(`greedy ${count}`, 'greedy', rows(...many))),
      ask('modest', 'modest', rows([1, 2], [3, 4], [5, 6])),
      ask('modest', 'modest', rows([1, 2])),
    ]);
    expect(answered.slice(0, 3)).toEqual(['greedy 1', 'modest', 'modest']);
  });

  it('answers a request without rows', async () => {
    expect((await infer(host, rows()))['y']).toEqual({ shape: [0, 2], values: [] });
  });

  it('refuses inputs that do not fit before anything is run', async () => {
    const wrong = { ...rows([1, 2]), type: 'float64' } as const;
    await expect(infer(host, wrong)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(host.load('a', 'file')).rejects.toMatchObject({ code: 'TASK_UNSUPPORTED' });
  });

  it('tells who sent values that cannot be run, and answers the others of the batch', async () => {
    await using stack = new AsyncDisposableStack();
    const lookup = await open(lookupModel());
    stack.defer(() => lookup.close());
    const numbers = (...values: readonly bigint[]): NamedTensor => ({
      name: 'i',
      type: 'int64',
      shape: [values.length],
      data: new Uint8Array(BigInt64Array.from(values).buffer),
    });
    const good = infer(lookup, numbers(2n, 0n));
    const bad = infer(lookup, numbers(1n, 7n));
    await expect(bad).rejects.toMatchObject({
      code: 'INFER_FAILED',
      message: expect.stringMatching(/idx=7/),
    });
    expect((await good)['v']).toEqual({ shape: [2], values: [30, 10] });
  });

  it.each<[string, RowSymbols]>([
    ['its output has another symbol', { x: 'rows', y: 'found' }],
    ['its rows have no symbol', { x: '', y: '' }],
    ['its rows have a fixed size', { x: 1, y: 1 }],
  ])('runs each request by itself when %s', async (_, symbols) => {
    await using stack = new AsyncDisposableStack();
    const other = await open(tensorModel(symbols));
    stack.defer(() => other.close());
    expect(other.info.tensors?.batching).toBe(false);
    const [one, two] = await Promise.all([infer(other, rows([1, 2])), infer(other, rows([3, 4]))]);
    expect([one['run']?.values, two['run']?.values]).toEqual([[1], [1]]);
    expect(two['y']?.values).toEqual([6, 8]);
  });
});
