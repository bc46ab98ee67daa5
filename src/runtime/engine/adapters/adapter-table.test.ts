import { readFileSync } from 'node:fs';
import { rm, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { compileAdapter } from '../../adapter/compile.ts';
import { tinyFolder, tinyTarget } from '../../adapter/peft-folder.fixture.ts';
import type { CompiledAdapter } from '../../compiled/compiled-adapter.ts';
import { type CompiledTensor, compiledFormat } from '../../compiled/compiled-file.ts';
import { compiledValues } from '../../compiled/compiled-values.fixture.ts';
import { readCompiledHeader } from '../../compiled/read-header.ts';
import { Mutex } from '../mutex.ts';
import { AdapterTable } from './adapter-table.ts';
import { Arena } from './arena.ts';
import { checkHeader } from './check-header.ts';
import type { Feeds } from './feeds.ts';
import type { LoadedAdapter } from './loaded-adapter.ts';
import type { PairAt, Pairs } from './pairs.ts';

const folder = folderOfTests();
const expected = tinyTarget;
const fileOf = (name: string): string => join(folder, `${name}.bin`);

/** A graph that only keeps what it would feed. */
const graph = {
  weights: 'float32',
  feeds: (pairs: Pairs) => ({ pairs, release: () => undefined }) as unknown as Feeds,
} as const;

/** What the graph of these tests would feed. */
const fed = (adapter: LoadedAdapter): Pairs => (adapter.feeds as unknown as { pairs: Pairs }).pairs;

/** The values of both halves of a pair in an arena. */
const valuesOf = (arena: Arena, module: string, { rank, a, b }: PairAt): readonly Float32Array[] => {
  const { inFeatures, outFeatures } = expected.sites.find((site) => site.module === module)!;
  return [
    new Float32Array(arena.buffer, Number(a.address - arena.address), rank * inFeatures),
    new Float32Array(arena.buffer, Number(b.address - arena.address), rank * outFeatures),
  ];
};

const makeTable = (budget = 1 << 20) => {
  const steps = new Mutex();
  const arena = new Arena(budget);
  return { steps, arena, table: new AdapterTable({ arena, graph, expected, steps }) };
};

const compile = (name: string): Promise<CompiledAdapter> =>
  compileAdapter({
    folder: join(tinyFolder, name),
    digest: fakeDigest('a'),
    target: expected,
    outFile: fileOf(basename(name)),
    maxRank: 64,
  });

beforeAll(async () => {
  for (const name of ['upper', 'reverse', 'digits', 'hello']) await compile(`adapters/${name}`);
});

const copyOf = async (name: string, change: (bytes: Buffer) => void): Promise<string> => {
  const bytes = Buffer.from(readFileSync(fileOf(name)));
  change(bytes);
  const file = fileOf(`${name}-${Math.abs(bytes.readInt32LE(bytes.length - 4))}-changed`);
  await writeFile(file, bytes);
  return file;
};

describe('loading a compiled file', () => {
  it.each(['adapters/upper', 'variants/valid-bf16', 'variants/valid-fp32'])(
    'feeds exactly the values that %s stores, as float32 times their scale',
    async (name) => {
      const { table, arena } = makeTable();
      const file = fileOf(basename(name));
      const { ramBytes } = await compile(name);
      const adapter = await table.load(name, file);
      const { header, values } = await compiledValues(file);
      expect(adapter.bytes).toBe(ramBytes);
      expect(2 * fed(adapter).size).toBe(header.tensors.length);
      for (const [module, pair] of fed(adapter)) {
        expect([pair.a.type, pair.a.scale, pair.b.type, pair.b.scale]).toEqual(['float32', 1, 'float32', 1]);
        expect(pair.rank).toBe(header.tensors.find((tensor) => tensor.module === module)!.shape[0]);
        const stored = ['A', 'B'].map((half) => values.get(`${module} ${half}`));
        expect(valuesOf(arena, module, pair)).toEqual(stored);
      }
    },
  );

  it('keeps the values when other adapters go and memory is put together', async () => {
    const { table, arena } = makeTable(0);
    const other = makeTable();
    const reference = await other.table.load('digits', fileOf('digits'));
    await table.load('upper', fileOf('upper'));
    const digits = await table.load('digits', fileOf('digits'));
    const before = digits.feeds;
    await table.unload('upper');
    arena.allocate(arena.buffer.byteLength - digits.bytes - 64, () => undefined);
    expect(digits.feeds).not.toBe(before);
    for (const [module, pair] of fed(reference)) {
      expect(valuesOf(arena, module, fed(digits).get(module)!)).toEqual(valuesOf(other.arena, module, pair));
    }
  });

  it('says of each half where it is and how it is stored where the graph takes it so', async () => {
    const arena = new Arena(1 << 20);
    const stored = { ...graph, weights: 'stored' } as const;
    const table = new AdapterTable({ arena, graph: stored, expected, steps: new Mutex() });
    const file = fileOf('valid-bf16');
    const bytes = readFileSync(file);
    const adapter = await table.load('a', file);
    const { tensors } = await readCompiledHeader(file);
    for (const { module, half, dtype, scale, offset, length } of tensors) {
      const at = fed(adapter).get(module)![half === 'A' ? 'a' : 'b'];
      expect([at.type, at.scale]).toEqual([dtype, scale]);
      const there = Buffer.from(arena.buffer, Number(at.address - arena.address), length);
      expect(there.equals(bytes.subarray(offset, offset + length))).toBe(true);
    }
  });

  it('refuses a flipped bit anywhere in a tensor and gives the memory back', async () => {
    const { table, arena } = makeTable();
    const { tensors } = await readCompiledHeader(fileOf('upper'));
    const file = await copyOf('upper', (bytes) => {
      const at = tensors[3]!.offset + 5;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    });
    await expect(table.load('bad', file)).rejects.toMatchObject({
      code: 'COMPILED_FILE_CORRUPT',
      what: expect.stringContaining(`${tensors[3]!.module} ${tensors[3]!.half}`),
    });
    expect(arena.usedBytes).toBe(0);
    expect(() => table.get('bad')).toThrow(expect.objectContaining({ code: 'ADAPTER_NOT_AVAILABLE' }));
  });

  it('refuses a file that is cut off, empty or not there', async () => {
    const { table } = makeTable();
    const file = await copyOf('digits', () => undefined);
    for (const length of [20_000, 100, 0]) {
      await truncate(file, length);
      await expect(table.load('short', file)).rejects.toMatchObject({ code: 'COMPILED_FILE_CORRUPT' });
    }
    await expect(table.load('none', fileOf('none'))).rejects.toMatchObject({ code: 'COMPILED_FILE_CORRUPT' });
  });

  it('takes a file whose tensors cannot be read for damaged, so that it is made again', async () => {
    const arena = new Arena(1 << 20);
    const file = await copyOf('hello', () => undefined);
    const steps = new Mutex();
    // Memory is taken after the header was read, and before the tensors are.
    const lossy: Pick<Mutex, 'run'> = {
      run: (work) => steps.run(() => rm(file, { force: true }).then(work)),
    };
    const table = new AdapterTable({ arena, graph, expected, steps: lossy });
    await expect(table.load('lost', file)).rejects.toMatchObject({
      code: 'COMPILED_FILE_CORRUPT',
      what: expect.stringContaining('cannot be read'),
    });
    expect(arena.usedBytes).toBe(0);
  });

  it('refuses a file for another base model or engine as stale', async () => {
    const header = await readCompiledHeader(fileOf('upper'));
    const stale = expect.objectContaining({ code: 'COMPILED_FILE_STALE' });
    expect(() => checkHeader('f', header, { ...expected, baseDigest: fakeDigest('c') })).toThrow(stale);
    expect(() => checkHeader('f', header, { ...expected, engineVersion: 'test 2' })).toThrow(stale);
  });

  it('refuses a file of the format before as stale', async () => {
    const { table } = makeTable();
    const file = await copyOf('upper', (bytes) => {
      const header = bytes.subarray(16, 16 + bytes.readUInt32LE(8));
      header.write(header.toString().replace(`"format":${compiledFormat}`, `"format":${compiledFormat - 1}`));
      bytes.writeUInt32LE(crc32(header), 12);
    });
    await expect(table.load('old', file)).rejects.toMatchObject({ code: 'COMPILED_FILE_STALE' });
  });

  it.each([
    ['overlapping tensors', (t: { offset: number }[]) => (t[1]!.offset = t[0]!.offset)],
    ['a tensor outside the file', (t: { offset: number }[]) => (t.at(-1)!.offset += 1 << 20)],
    ['a tensor that is not aligned', (t: { offset: number }[]) => (t.at(-1)!.offset += 4)],
    ['a length that is not that of the shape', (t: { length: number }[]) => (t[0]!.length -= 4)],
    ['half a pair', (t: object[]) => t.pop()],
    [
      'a linear that the base model lacks',
      (t: { module: string }[]) => (t[0]!.module = 'model.layers.9.mlp.up_proj'),
    ],
    ['a tensor that is there twice', (t: { module: string; half: string }[]) => (t[1]!.half = 'A')],
  ])('refuses a header with %s', async (_, change) => {
    const header = await readCompiledHeader(fileOf('upper'));
    const tensors = structuredClone(header.tensors) as never[];
    change(tensors);
    expect(() => checkHeader('f', { ...header, tensors }, expected)).toThrow(
      expect.objectContaining({ code: 'COMPILED_FILE_CORRUPT' }),
    );
  });

  it('takes factors and shifts of the shape of their linear, and no others', async () => {
    const header = await readCompiledHeader(fileOf('upper'));
    const offset = Math.ceil(header.fileBytes / 64) * 64;
    const [{ module }] = header.tensors as [CompiledTensor];
    const { outFeatures } = expected.sites.find((site) => site.module === module)!;
    const vector = {
      module,
      half: 'factors',
      shape: [1, outFeatures],
      dtype: 'float32',
      scale: 1,
      offset,
      length: 4 * outFeatures,
      crc32: 0,
    } as const;
    const check = (tensor: CompiledTensor): void =>
      checkHeader(
        'f',
        { ...header, tensors: [...header.tensors, tensor], fileBytes: offset + 4096 },
        expected,
      );
    for (const half of ['factors', 'shifts'] as const) {
      check({ ...vector, half });
      for (const wrong of [
        { shape: [1, outFeatures - 1], length: 4 * (outFeatures - 1) },
        { shape: [2, outFeatures], length: 8 * outFeatures },
        { dtype: 'float16', length: 2 * outFeatures },
        { scale: 2 },
      ] as const)
        expect(() => check({ ...vector, half, ...wrong })).toThrow(`has ${half} of`);
    }
  });

  it('says with numbers when there is no room, and keeps what was there', async () => {
    const { table, arena } = makeTable(0);
    arena.allocate(arena.buffer.byteLength - 1024, () => undefined);
    await expect(table.load('upper', fileOf('upper'))).rejects.toMatchObject({ code: 'ADAPTER_MEMORY_FULL' });
    expect(() => table.get('upper')).toThrow();
  });

  it('loads a name once, also when it is asked for twice at the same time', async () => {
    const { table, arena } = makeTable();
    const [first, second] = await Promise.all([
      table.load('a', fileOf('upper')),
      table.load('a', fileOf('upper')),
    ]);
    expect(second).toBe(first);
    expect(arena.usedBytes).toBe(first.bytes);
  });
});

describe('unloading', () => {
  it('hides the name at once and frees the memory when its last user is gone', async () => {
    const { table, arena } = makeTable();
    const adapter = await table.load('upper', fileOf('upper'));
    adapter.acquire();
    let freed = false;
    const unloading = table.unload('upper').then(() => (freed = true));
    expect(() => table.get('upper')).toThrow(/not loaded/);
    const again = await table.load('upper', fileOf('upper'));
    expect(again).not.toBe(adapter);
    expect(freed).toBe(false);
    expect(arena.usedBytes).toBe(2 * adapter.bytes);
    adapter.release();
    await unloading;
    expect(arena.usedBytes).toBe(again.bytes);
    expect(() => adapter.feeds).toThrow(/before it was read/);
  });

  it('does not free during a step', async () => {
    const { table, arena, steps } = makeTable();
    const adapter = await table.load('upper', fileOf('upper'));
    const step = Promise.withResolvers<void>();
    const running = steps.run(() => step.promise);
    const unloading = table.unload('upper');
    await new Promise(setImmediate);
    expect(arena.usedBytes).toBe(adapter.bytes);
    step.resolve();
    await Promise.all([running, unloading]);
    expect(arena.usedBytes).toBe(0);
  });
});
