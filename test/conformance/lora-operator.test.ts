import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StoredType, storedBytes, storedTypes } from '../../src/runtime/compiled/compiled-file.ts';
import { widening } from '../../src/runtime/compiled/widen.ts';
import type { Feeds } from '../../src/runtime/engine/adapters/feeds.ts';
import { LoraTables } from '../../src/runtime/engine/adapters/lora-tables.ts';
import type { HalfAt, PairAt, Pairs } from '../../src/runtime/engine/adapters/pairs.ts';
import { handMade } from '../../src/runtime/engine/onnx/graph.fixture.ts';
import { applyEdit, readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { adaptersInput } from '../../src/runtime/engine/onnx/lora-operator.ts';
import { valueInfoMessage } from '../../src/runtime/engine/onnx/messages.ts';
import { elementType, modelField, operatorDomain, opsetField } from '../../src/runtime/engine/onnx/schema.ts';
import { contentField, integerField } from '../../src/runtime/engine/onnx/wire.ts';
import { NativeMemory } from '../../src/runtime/engine/ort/memory.ts';
import { cpuProvider } from '../../src/runtime/engine/ort/providers.ts';
import { OnnxSession } from '../../src/runtime/engine/ort/session.ts';
import { OrtTensor } from '../../src/runtime/engine/ort/tensor.ts';
import { TensorRun } from '../../src/runtime/engine/ort/tensor-run.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { allLogits, openModel } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import { compileFor, golden, goldenLogits, maxDifference, tinyFolder, tinyModel } from './support/tiny.ts';

/**
 * Three linears of one input as graphs have them: one with a node of its own, one that is the last columns of a fused node,
 * and one in two pieces, in both nodes.
 */
const sites = [
  { module: 'own', inFeatures: 37, outFeatures: 50 },
  { module: 'last', inFeatures: 37, outFeatures: 33 },
  { module: 'pieces', inFeatures: 37, outFeatures: 20 },
];
const columns = [63, 47];
/** Linear, node, its columns, first column, first feature of the linear, width. */
const blocks = [
  [0, 0, 63, 0, 0, 50],
  [1, 1, 47, 7, 0, 33],
  [2, 0, 63, 50, 0, 13],
  [2, 1, 47, 0, 13, 7],
];

const graph = (): Buffer => {
  const made = handMade({
    nodes: [
      ...columns.map((_, at) => ({
        opType: 'Neg',
        name: `neg.${at}`,
        inputs: [`in.${at}`],
        outputs: [`base.${at}`],
      })),
      {
        opType: 'Lora',
        name: 'lora',
        domain: operatorDomain,
        inputs: ['x', adaptersInput, 'base.0', 'base.1'],
        outputs: ['out.0', 'out.1'],
        attributes: {
          sites: sites.flatMap(({ inFeatures, outFeatures }, at) => [at, inFeatures, outFeatures]),
          blocks: blocks.flat(),
        },
      },
    ],
  });
  const opset = Buffer.concat([contentField(opsetField.domain, ''), integerField(opsetField.version, 17)]);
  const model = Buffer.concat([made, contentField(modelField.opsetImport, opset)]);
  const float = (name: string, last: number) =>
    valueInfoMessage(name, elementType.float, ['rows', 'tokens', last]);
  return applyEdit(readGraph(model), {
    nodes: new Map(),
    newInputs: [
      float('x', 37),
      valueInfoMessage(adaptersInput, elementType.int64, ['rows']),
      ...columns.map((last, at) => float(`in.${at}`, last)),
    ],
    newOutputs: columns.map((last, at) => float(`out.${at}`, last)),
    staleShapes: new Set(),
    outputs: new Map(),
    domains: [operatorDomain],
  });
};

const memories: NativeMemory[] = [];
const memoryOf = (bytes: Uint8Array): NativeMemory => {
  const memory = new NativeMemory(bytes.length);
  new Uint8Array(memory.buffer).set(bytes);
  memories.push(memory);
  return memory;
};

/** A half with random values as they are stored, and what they stand for. */
const halfOf = (
  half: 'A' | 'B',
  shape: readonly [number, number],
  { dtype, random }: { readonly dtype: StoredType; readonly random: () => number },
): { readonly at: HalfAt; readonly values: Float32Array } => {
  const scale = half === 'B' && dtype !== 'float32' ? 0.5 + random() : 1;
  const bytes = new Uint8Array(storedBytes({ half, shape, dtype }));
  const count = shape[0] * shape[1];
  const number = (): number => random() - 0.5;
  if (dtype === 'float32') new Float32Array(bytes.buffer).forEach((_, i, all) => (all[i] = number()));
  if (dtype === 'float16') new Float16Array(bytes.buffer).forEach((_, i, all) => (all[i] = number()));
  if (dtype === 'bfloat16')
    new Uint16Array(bytes.buffer).forEach(
      (_, i, all) => (all[i] = new Uint32Array(Float32Array.of(number()).buffer)[0]! >>> 16),
    );
  if (dtype === 'int8') {
    const scales = (bytes.length - count) / 4;
    new Float32Array(bytes.buffer, 0, scales).forEach((_, i, all) => (all[i] = random() / 100));
    new Int8Array(bytes.buffer, 4 * scales).forEach(
      (_, i, all) => (all[i] = Math.floor(random() * 255) - 127),
    );
  }
  const values = new Float32Array(count);
  widening({ half, dtype, shape, scale }, bytes.buffer, 0, values)(0, count);
  return { at: { address: memoryOf(bytes).address, type: dtype, scale }, values };
};

type Made = {
  readonly pairs: Pairs;
  readonly values: ReadonlyMap<
    string,
    {
      readonly rank: number;
      readonly a: Float32Array;
      readonly b: Float32Array;
      readonly factors?: Float32Array;
      readonly shifts?: Float32Array;
    }
  >;
};

/** An adapter of random ranks and types at some of the linears, some of them with factors or shifts. */
const adapterOf = (seed: number): Made => {
  const random = seededRandom(seed);
  const pairs = new Map<string, PairAt>();
  const values = new Map();
  for (const { module, inFeatures, outFeatures } of sites) {
    if (random() < 0.2) continue;
    const rank = 1 + Math.floor(random() * 40);
    const dtype = (): StoredType => storedTypes[Math.floor(random() * storedTypes.length)]!;
    const a = halfOf('A', [rank, inFeatures], { dtype: dtype(), random });
    const b = halfOf('B', [rank, outFeatures], { dtype: dtype(), random });
    const vectors: { factors?: Float32Array; shifts?: Float32Array } = {};
    if (random() < 0.5) vectors.factors = Float32Array.from({ length: outFeatures }, () => random() * 4 - 2);
    if (random() < 0.5) vectors.shifts = Float32Array.from({ length: outFeatures }, () => random() - 0.5);
    const at = (vector: Float32Array): bigint => memoryOf(new Uint8Array(vector.buffer)).address;
    pairs.set(module, {
      rank,
      a: a.at,
      b: b.at,
      ...(vectors.factors === undefined ? {} : { factors: at(vectors.factors) }),
      ...(vectors.shifts === undefined ? {} : { shifts: at(vectors.shifts) }),
    });
    values.set(module, { rank, a: a.values, b: b.values, ...vectors });
  }
  return { pairs, values };
};

/** One row: its tokens, and its adapter. */
type Row = { readonly x: Float32Array; readonly ys: readonly Float32Array[]; readonly adapter: Made | null };

const rowOf = (seed: number, tokens: number, adapter: Made | null): Row => {
  const random = seededRandom(seed);
  const some = (count: number): Float32Array => Float32Array.from({ length: count }, () => random() - 0.5);
  return { x: some(tokens * 37), ys: columns.map((count) => some(tokens * count)), adapter };
};

/** factors (y + B (A x)) + shifts in double precision, of all nodes. */
const expected = ({ x, ys, adapter }: Row, tokens: number): readonly Float64Array[] => {
  const out = ys.map((y) => Float64Array.from(y, (value) => -value));
  for (const [site, y, width, column, first, count] of blocks as [
    number,
    number,
    number,
    number,
    number,
    number,
  ][]) {
    const own = adapter?.values.get(sites[site]!.module);
    if (own === undefined) continue;
    const features = sites[site]!.outFeatures;
    for (let t = 0; t < tokens; t += 1) {
      for (let j = 0; j < own.rank; j += 1) {
        let low = 0;
        for (let k = 0; k < 37; k += 1) low += x[t * 37 + k]! * own.a[j * 37 + k]!;
        for (let n = 0; n < count; n += 1)
          out[y]![t * width + column + n]! += low * own.b[j * features + first + n]!;
      }
      for (let n = 0; n < count; n += 1) {
        const at = t * width + column + n;
        out[y]![at] = out[y]![at]! * (own.factors?.[first + n] ?? 1) + (own.shifts?.[first + n] ?? 0);
      }
    }
  }
  return out;
};

describe.skipIf(operator === undefined)('the native operator', () => {
  let session: OnnxSession;
  let tables: LoraTables;
  let run: TensorRun;

  beforeAll(async () => {
    const options = { threads: 2, optimise: 'none', spin: false, provider: cpuProvider, operator } as const;
    session = await OnnxSession.open(graph(), options);
    run = new TensorRun(session, ['x', 'in.0', 'in.1', adaptersInput]);
    tables = new LoraTables(sites);
  });
  afterAll(() => {
    session.release();
    for (const memory of memories.splice(0)) memory.free();
  });

  /** Outputs of a step of these rows; `feeds`: what says their adapters. */
  const step = async (
    rows: readonly Row[],
    tokens: number,
    feeds: Feeds,
  ): Promise<readonly Float32Array[]> => {
    const tensor = (parts: readonly Float32Array[], last: number): OrtTensor => {
      const all = Float32Array.from(parts.flatMap((part) => [...part]));
      const { address } = memoryOf(new Uint8Array(all.buffer));
      return new OrtTensor('float32', [rows.length, tokens, last], address);
    };
    const inputs = [
      tensor(
        rows.map(({ x }) => x),
        37,
      ),
      ...columns.map((last, at) =>
        tensor(
          rows.map(({ ys }) => ys[at]!),
          last,
        ),
      ),
    ];
    for (const [place, { value }] of inputs.entries()) feeds.values.set(place, value);
    feeds.rows(rows.length);
    const outputs = await run.run(feeds.values, ['out.0', 'out.1']);
    for (const input of inputs) input.release();
    return outputs.map(({ data }) => new Float32Array(data.slice().buffer));
  };

  const mixed = async (rows: readonly Row[], tokens: number): Promise<readonly Float32Array[]> => {
    const all = tables.mixed({}, 3);
    const own = rows.map(({ adapter }) => (adapter === null ? null : tables.feeds({}, 3, adapter.pairs)));
    try {
      return await step(rows, tokens, all.of(own));
    } finally {
      for (const feeds of own) feeds?.release();
      all.release();
    }
  };

  it('adds to each row what its adapter gives in double precision, the same bits as alone, at any rank and type', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 40 }),
        async (seed, count, tokens) => {
          const adapters = [null, adapterOf(seed), adapterOf(seed + 1), adapterOf(seed + 2)];
          const random = seededRandom(seed);
          const rows = Array.from({ length: count }, (_, at) =>
            rowOf(seed + at, tokens, adapters[Math.floor(random() * adapters.length)]!),
          );
          const together = await mixed(rows, tokens);
          for (const [at, row] of rows.entries()) {
            const alone = await mixed([row], tokens);
            for (const [y, values] of expected(row, tokens).entries()) {
              const size = tokens * columns[y]!;
              const got = together[y]!.subarray(at * size, (at + 1) * size);
              expect(got.every((value, i) => Object.is(value, alone[y]![i]))).toBe(true);
              expect(
                values.every((value, i) => Math.abs(value - got[i]!) <= 1e-4 * (1 + Math.abs(value))),
              ).toBe(true);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('leaves every bit of rows without an adapter', async () => {
    const rows = [rowOf(1, 5, null), rowOf(2, 5, adapterOf(1)), rowOf(3, 5, null)];
    const together = await mixed(rows, 5);
    for (const at of [0, 2]) {
      for (const [y, values] of rows[at]!.ys.entries()) {
        const got = together[y]!.subarray(at * values.length, (at + 1) * values.length);
        expect([...got]).toEqual([...values].map((value) => -value));
      }
    }
  });

  it('gives the same for one adapter of all rows as for the same one in each', async () => {
    const adapter = adapterOf(5);
    const rows = [1, 2, 3].map((seed) => rowOf(seed, 4, adapter));
    const one = tables.feeds({}, 3, adapter.pairs);
    const all = await step(rows, 4, one);
    one.release();
    expect(all).toEqual(await mixed(rows, 4));
  });

  it('refuses an adapter that is gone, and goes on', async () => {
    const adapter = adapterOf(7);
    const row = rowOf(1, 2, adapter);
    const before = await mixed([row], 2);
    const table = new BigUint64Array(memoryOf(new Uint8Array(256)).buffer);
    expect(table[0]).toBe(0n);
    const gone = memories.at(-1)!.address;
    const feeds = tables.feeds({}, 3, new Map());
    const rows = memoryOf(new Uint8Array(BigInt64Array.of(gone).buffer));
    const tensor = new OrtTensor('int64', [1], rows.address);
    const broken: Feeds = { ...feeds, rows: () => feeds.values.set(3, tensor.value) };
    await expect(step([row], 2, broken)).rejects.toThrow('an adapter is not there');
    tensor.release();
    feeds.release();
    expect(await mixed([row], 2)).toEqual(before);
  });

  it('refuses a step that does not say the adapter of each row', async () => {
    const feeds = tables.feeds({}, 3, new Map());
    const two = { ...feeds, rows: () => feeds.rows(2) };
    await expect(step([rowOf(1, 2, null)], 2, two)).rejects.toThrow('not one adapter for each row');
    feeds.release();
  });
});

describe('an operator that does not work with a graph', () => {
  it('is told, and the graph takes adapters in the portable way', async () => {
    const broken = { path: '/nowhere/libadaptlet-lora.so', digest: 'none', instructionSet: 'none' };
    const model = await openModel(tinyModel('fp32'), folderOfFile(), { operator: broken });
    expect(model.warnings).toEqual([
      expect.stringContaining('the native operator cannot be used with this graph'),
    ]);
    expect(model.sessions.foreignAttention).toBe('the native operator is not used');
    expect(model.info.weights).toBe('float32');
    const file = await compileFor(model.info, join(tinyFolder, 'adapters/upper'), folderOfFile());
    await model.adapters.load('upper', file);
    const { input_ids } = golden.prompts[0]!;
    const logits = await allLogits(model.adapters.get('upper'), input_ids);
    expect(maxDifference(logits, goldenLogits('upper')[0]!)).toBeLessThan(1e-4);
    model.sessions.release();
  });
});
