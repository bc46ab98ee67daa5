import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { DiskBudget } from '../../artifact/disk-budget.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { compiledFormat } from '../compiled/compiled-file.ts';
import { CompiledFolder } from '../compiled/compiled-folder.ts';
import { createCompiler } from './compiler.ts';
import {
  type FixtureTensor,
  float32,
  safetensors,
  tinyFolder,
  tinySites,
  tinyTarget,
  writeAdapter,
} from './peft-folder.fixture.ts';

const adapter = (name: string, digit = 'a') => ({
  digest: fakeDigest(digit),
  folder: join(tinyFolder, name),
  bytes: 100_000,
  verify: async () => undefined,
});

const never = new AbortController().signal;

let dir: string;
let compiler: ReturnType<typeof createCompiler>;
const open = async (budget?: DiskBudget) => {
  const folder = await CompiledFolder.open({ dir, ...(budget === undefined ? {} : { budget }) });
  return createCompiler({ folder, workers: 1, maxRank: 256, log: silentLog });
};
beforeEach(async () => {
  dir = folderOfTest();
  compiler = await open();
});
afterEach(async () => {
  await compiler[Symbol.asyncDispose]();
});

describe('compiling on a thread', () => {
  it('makes one file and uses it again while it is intact', async () => {
    const first = await compiler.compile(adapter('adapters/upper'), tinyTarget, never);
    const { ino } = await stat(first.file);
    expect(await compiler.compile(adapter('adapters/upper'), tinyTarget, never)).toEqual(first);
    expect((await stat(first.file)).ino).toBe(ino);
    expect(await readdir(dir)).toHaveLength(1);
  });

  it.each<[string, (file: string) => Promise<void>]>([
    ['is too short', (file) => truncate(file, 100)],
    ['is empty', (file) => truncate(file, 0)],
    [
      'has a damaged header',
      async (file) => {
        const bytes = await readFile(file);
        bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
        await writeFile(file, bytes);
      },
    ],
    [
      'has the format before',
      async (file) => {
        const bytes = await readFile(file);
        const header = bytes.subarray(16, 16 + bytes.readUInt32LE(8));
        header.write(
          header.toString().replace(`"format":${compiledFormat}`, `"format":${compiledFormat - 1}`),
        );
        bytes.writeUInt32LE(crc32(header), 12);
        await writeFile(file, bytes);
      },
    ],
  ])('makes the file again when it %s', async (_, damage) => {
    const first = await compiler.compile(adapter('adapters/upper'), tinyTarget, never);
    const good = await readFile(first.file);
    await damage(first.file);
    expect(await compiler.compile(adapter('adapters/upper'), tinyTarget, never)).toEqual(first);
    expect(await readFile(first.file)).toEqual(good);
  });

  it('removes all files of one adapter', async () => {
    await compiler.compile(adapter('adapters/upper'), tinyTarget, never);
    await compiler.compile(adapter('adapters/hello', 'd'), tinyTarget, never);
    expect(await readdir(dir)).toHaveLength(2);
    await compiler.remove(fakeDigest('a'));
    expect(await readdir(dir)).toHaveLength(1);
  });

  it('removes what was made for another engine or base model before it makes something', async () => {
    await compiler.compile(adapter('adapters/upper'), tinyTarget, never);
    await compiler.compile(adapter('adapters/hello', 'd'), tinyTarget, never);
    const later = { ...tinyTarget, engineVersion: 'test 2' };
    const { file } = await compiler.compile(adapter('adapters/upper'), later, never);
    expect((await readdir(dir)).map((name) => join(dir, name))).toEqual([file]);
    const other = await compiler.compile(
      adapter('adapters/upper'),
      { ...later, baseDigest: fakeDigest('c') },
      never,
    );
    expect((await readdir(dir)).map((name) => join(dir, name))).toEqual([other.file]);
  });

  it('counts its files in the budget, over a restart as well, and writes none that does not fit', async () => {
    const { bytes } = await compiler.compile(adapter('adapters/upper'), tinyTarget, never);
    const budget = new DiskBudget(bytes + 50_000);
    await using again = await open(budget);
    expect([again.bytesOf(fakeDigest('a')), budget.used]).toEqual([bytes, bytes]);
    const hello = adapter('adapters/hello', 'd');
    await expect(again.compile(hello, tinyTarget, never)).rejects.toMatchObject({ code: 'STORE_FULL' });
    await again.remove(fakeDigest('a'));
    const made = await again.compile({ ...hello, bytes: bytes + 50_000 }, tinyTarget, never);
    expect([again.bytesOf(fakeDigest('d')), budget.used]).toEqual([made.bytes, made.bytes]);
  });

  it('sets room aside for pairs that take many times the bytes of the artifact', async () => {
    const folder = join(dir, '../', `${basename(dir)}-loha`);
    const ones = (rows: number, columns: number) => float32([rows, columns], Array(rows * columns).fill(1));
    const tensors = tinySites.flatMap(({ module, inFeatures, outFeatures }) =>
      ['1', '2'].flatMap((half): [string, FixtureTensor][] => [
        [`base_model.model.${module}.hada_w${half}_a`, ones(outFeatures, 16)],
        [`base_model.model.${module}.hada_w${half}_b`, ones(16, inFeatures)],
      ]),
    );
    const weights = safetensors(Object.fromEntries(tensors));
    await writeAdapter(folder, { peft_type: 'LOHA', r: 16, target_modules: 'all-linear' }, weights);
    try {
      const loha = { ...adapter(''), folder, bytes: weights.length };
      await using narrow = await open(new DiskBudget(3 * weights.length));
      expect(await codeOf(() => narrow.compile(loha, tinyTarget, never))).toBe('STORE_FULL');
      expect(await readdir(dir)).toEqual([]);
      const budget = new DiskBudget(20 * weights.length);
      await using wide = await open(budget);
      const { bytes, rank } = await wide.compile(loha, tinyTarget, never);
      expect([rank, budget.used]).toEqual([256, bytes]);
      expect(bytes).toBeGreaterThan(7 * weights.length);
      const shared = new DiskBudget(20 * weights.length);
      shared.count(15 * weights.length);
      const asked: number[] = [];
      const makeRoom = async (needed: number): Promise<void> => {
        asked.push(needed);
        if (needed === bytes) shared.count(-15 * weights.length);
      };
      await using crowded = await open(shared);
      await crowded.remove(loha.digest);
      expect((await crowded.compile({ ...loha, makeRoom }, tinyTarget, never)).bytes).toBe(bytes);
      expect([asked, shared.used]).toEqual([[weights.length, bytes], bytes]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('carries the code and the message of a refusal over the thread', async () => {
    const refused = compiler.compile(adapter('variants/broken-nan'), tinyTarget, never);
    await expect(refused).rejects.toThrow(/q_proj.*NaN/);
    expect(await codeOf(() => compiler.compile(adapter('variants/broken-dora'), tinyTarget, never))).toBe(
      'ADAPTER_DORA',
    );
    expect(await readdir(dir)).toEqual([]);
  });

  it('does not begin when the caller has left', async () => {
    const reason = new Error('left');
    await expect(
      compiler.compile(adapter('adapters/upper'), tinyTarget, AbortSignal.abort(reason)),
    ).rejects.toBe(reason);
  });
});

it('leaves nothing behind when the caller leaves while it compiles', async () => {
  const leave = new AbortController();
  const reason = new Error('left');
  const compiling = compiler.compile(adapter('adapters/upper'), tinyTarget, leave.signal);
  setImmediate(() => {
    leave.abort(reason);
  });
  await expect(compiling).rejects.toBe(reason);
  expect(await readdir(dir)).toEqual([]);
});

it('deletes what a killed compilation left', async () => {
  const left = join(dir, 'x.adaptlet.123.tmp');
  await writeFile(left, 'half');
  await CompiledFolder.open({ dir });
  expect(existsSync(left)).toBe(false);
});
