import { mkdtempSync, readFileSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { compileAdapter } from '../../adapter/compile.ts';
import { tinyFolder, tinySites } from '../../adapter/peft-folder.fixture.ts';
import type { CompiledAdapter } from '../../compiled/compiled-adapter.ts';
import { compiledValues } from '../../compiled/compiled-values.fixture.ts';
import { readCompiledHeader } from '../../compiled/read-header.ts';
import { Mutex } from '../mutex.ts';
import { elementsOf, type OrtTensor } from '../ort/tensor.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { AdapterTable } from './adapter-table.ts';
import { Arena } from './arena.ts';
import { checkHeader } from './check-header.ts';
import type { LoraTensors } from './feeds.ts';
import type { LoadedAdapter } from './loaded-adapter.ts';

const folder = mkdtempSync(join(tmpdir(), 'adaptlet-table-'));
const expected = { baseDigest: fakeDigest('b'), engineVersion: 'test 1', sites: tinySites };
const fileOf = (name: string): string => join(folder, `${name}.bin`);

/** A session that only keeps what it would feed. */
const session = {
  feeds: (lora: LoraTensors) => ({ lora, release: () => undefined }),
} as unknown as DecoderSession;

/** What the session of these tests would feed. */
const fed = (adapter: LoadedAdapter): LoraTensors => (adapter.feeds as unknown as { lora: LoraTensors }).lora;

/** The values of a tensor in an arena. */
const valuesOf = (arena: Arena, tensor: OrtTensor): Float32Array =>
  new Float32Array(arena.buffer, Number(tensor.address - arena.address), elementsOf(tensor.shape));

const makeTable = (budget = 1 << 20) => {
  const steps = new Mutex();
  const arena = new Arena(budget);
  return { steps, arena, table: new AdapterTable({ arena, graphFor: async () => session, expected, steps }) };
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
      expect(fed(adapter).size).toBe(header.tensors.length);
      for (const { module, half, shape } of header.tensors) {
        const tensor = fed(adapter).get(`lora.${module}.${half}`)!;
        expect(tensor.shape).toEqual(shape);
        expect(valuesOf(arena, tensor)).toEqual(values.get(`${module} ${half}`));
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
    for (const [name, tensor] of fed(reference)) {
      expect(valuesOf(arena, fed(digits).get(name)!)).toEqual(valuesOf(other.arena, tensor));
    }
  });

  it('says where the pair of each module is, of which rank, also after memory was put together', async () => {
    const { table, arena } = makeTable(0);
    await table.load('upper', fileOf('upper'));
    const hello = await table.load('hello', fileOf('hello'));
    const check = (): void => {
      const ranks = hello.modules.map((module) => {
        const [a, b] = (['A', 'B'] as const).map((half) => fed(hello).get(`lora.${module}.${half}`)!);
        expect(hello.pairAt(module)).toEqual({ rank: a!.shape[0], a: a!.address, b: b!.address });
        return a!.shape[0]!;
      });
      expect(hello.rank).toBe(Math.max(...ranks));
    };
    expect(hello.modules.toSorted()).toEqual(
      [...new Set([...fed(hello).keys()].map((name) => name.slice('lora.'.length, -'.A'.length)))].toSorted(),
    );
    check();
    const before = hello.pairAt(hello.modules[0]!);
    await table.unload('upper');
    arena.allocate(arena.buffer.byteLength - hello.bytes - 64, () => undefined);
    expect(hello.pairAt(hello.modules[0]!)).not.toEqual(before);
    check();
    expect(hello.pairAt('model.layers.9.self_attn.q_proj')).toBeUndefined();
    await table.unload('hello');
    expect(() => hello.pairAt(hello.modules[0]!)).toThrow(/before it was read/);
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
      header.write(header.toString().replace('"format":3', '"format":2'));
      bytes.writeUInt32LE(crc32(header), 12);
    });
    await expect(table.load('old', file)).rejects.toMatchObject({ code: 'COMPILED_FILE_STALE' });
  });

  it('refuses a header that says another size in memory', async () => {
    const header = await readCompiledHeader(fileOf('upper'));
    expect(() => checkHeader('f', { ...header, ramBytes: header.ramBytes - 64 }, expected)).toThrow(
      expect.objectContaining({ code: 'COMPILED_FILE_CORRUPT' }),
    );
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
