import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import {
  type FixtureTensor,
  rawSafetensors,
  safetensors,
} from '../../runtime/adapter/peft-folder.fixture.ts';
import { digestOf } from '../digest.ts';
import { applyDelta } from './apply.ts';
import {
  blockBytes,
  type DeltaHeader,
  magic,
  maxHeaderBytes,
  maxTargetBytes,
  writeHeader,
} from './format.ts';
import { makeDelta } from './make.ts';
import { noise, randomOf, trainedFrom, weightsOf } from './weights.fixture.ts';

let root: string;
beforeEach(() => {
  root = folderOfTest();
});

const at = (name: string): string => join(root, name);
const identityOf = (bytes: Uint8Array) => ({ digest: digestOf(bytes), size: bytes.length });

const make = async (from: Uint8Array, to: Uint8Array): Promise<Buffer> => {
  await writeFile(at('from'), from);
  await writeFile(at('to'), to);
  const input = (name: string, bytes: Uint8Array) => ({ ...identityOf(bytes), path: at(name) });
  const size = makeDelta({ from: input('from', from), to: input('to', to), target: at('delta') });
  const delta = await readFile(at('delta'));
  expect(delta.length).toBe(size);
  return delta;
};

/** `to` and `from` are what the delta is asked for. */
const apply = async (delta: Uint8Array, from: Uint8Array, to: Uint8Array): Promise<Buffer> => {
  await writeFile(at('delta'), delta);
  await writeFile(at('base'), from);
  applyDelta({
    delta: at('delta'),
    base: at('base'),
    target: at('target'),
    from: identityOf(from),
    to: identityOf(to),
  });
  return await readFile(at('target'));
};

const comesBack = async (from: Uint8Array, to: Uint8Array): Promise<number> => {
  const delta = await make(from, to);
  expect((await apply(delta, from, to)).equals(to)).toBe(true);
  return delta.length;
};

describe('a delta', () => {
  it('makes the file, and is small where little changed', async () => {
    const from = weightsOf(1);
    expect(await comesBack(from, trainedFrom(from, 2))).toBeLessThan(0.2 * from.length);
  });

  it('of files without tensors alike has all of it', async () => {
    const [from, to] = [
      weightsOf(1),
      safetensors({ other: { dtype: 'F16', shape: [5000], data: noise(10_000, 3) } }),
    ];
    expect(await comesBack(from, to)).toBeGreaterThan(10_000);
  });

  it('finds tensors that moved, beside ones that are new, gone or of another form', async () => {
    const tensor = (seed: number, numbers: number, dtype = 'F32'): FixtureTensor => ({
      dtype,
      shape: [numbers],
      data: noise(numbers * 4, seed),
    });
    const [one, two, three] = [tensor(1, 30_000), tensor(2, 30_000), tensor(3, 500)];
    const from = safetensors({ one, two, three, gone: tensor(4, 10) });
    const to = safetensors({ new: tensor(5, 100), two, one, three: { ...three, shape: [50, 10] } });
    expect(await comesBack(from, to)).toBeLessThan(5000);
  });

  it.each([
    ['nothing', Buffer.alloc(0), weightsOf(1, 4096)],
    ['something to nothing', weightsOf(1, 4096), Buffer.alloc(0)],
    ['no safetensors', noise(5000, 1), noise(5000, 1)],
    ['a header that is not JSON', rawSafetensors('{', noise(50, 1)), rawSafetensors('{"a":1}', noise(50, 1))],
    ['a length beyond the file', Buffer.alloc(64, 0xff), weightsOf(1, 4096)],
  ])('of %s makes the file as well', async (_, from, to) => {
    await comesBack(from, to);
  });

  it('of tensors over several blocks, the last one short, makes the file', async () => {
    const bytes = 2 * blockBytes + 4 * 12;
    const data = noise(bytes, 7);
    const from = safetensors({ a: { dtype: 'F32', shape: [bytes / 4], data } });
    const to = safetensors({ a: { dtype: 'F32', shape: [bytes / 4], data: data.toReversed() } });
    await comesBack(from, to);
  });

  it('of random files makes them, whatever tensors they have', async () => {
    const dtypes = ['F64', 'F32', 'F16', 'BF16', 'I8', 'F8_E4M3', 'odd'] as const;
    const widths: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };
    const tensor = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', '__proto__'),
      dtype: fc.constantFrom(...dtypes),
      numbers: fc.nat(300),
      seed: fc.nat(20),
    });
    const file = fc.array(tensor, { maxLength: 6 });
    const fileOf = (
      tensors: readonly { name: string; dtype: string; numbers: number; seed: number }[],
    ): Buffer =>
      safetensors(
        Object.fromEntries(
          tensors.map(({ name, dtype, numbers, seed }) => {
            const data = noise(numbers * (widths[dtype] ?? 1), seed);
            return [name, { dtype, shape: [numbers], data }] as const;
          }),
        ),
      );
    await fc.assert(
      fc.asyncProperty(file, file, async (from, to) => {
        await comesBack(fileOf(from), fileOf(to));
      }),
      { numRuns: 60 },
    );
  });

  it('of headers that may say anything makes the file', async () => {
    const offset = fc.integer({ min: -2, max: 300 });
    const header = fc.dictionary(
      fc.constantFrom('a', 'b', '__metadata__'),
      fc.record({
        dtype: fc.constantFrom('F32', 'F16', 7),
        shape: fc.array(offset, { maxLength: 2 }),
        data_offsets: fc.tuple(offset, offset),
      }),
    );
    await fc.assert(
      fc.asyncProperty(header, header, fc.nat(300), async (one, two, bytes) => {
        const from = rawSafetensors(JSON.stringify(one), noise(bytes, 1));
        await comesBack(from, rawSafetensors(JSON.stringify(two), noise(bytes, 2)));
      }),
      { numRuns: 60 },
    );
  });
});

describe('a delta that is not what it should be is refused', () => {
  const from = weightsOf(1);
  const to = trainedFrom(from, 2);
  const refusal = (delta: Uint8Array, base: Uint8Array = from, wanted: Uint8Array = to): Promise<string> =>
    codeOf(() => apply(delta, base, wanted));

  it('where it is for another base or another file', async () => {
    const delta = await make(from, to);
    expect(await refusal(delta, weightsOf(5))).toBe('DELTA_INVALID');
    expect(await refusal(delta, from, weightsOf(5))).toBe('DELTA_INVALID');
  });

  it('where the base on the disk is damaged, or shorter', async () => {
    await writeFile(at('delta'), await make(from, to));
    const files = { delta: at('delta'), base: at('base'), target: at('target') };
    const damaged = Buffer.from(from);
    damaged[from.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    for (const base of [damaged, from.subarray(0, -1)]) {
      await writeFile(at('base'), base);
      const run = () => applyDelta({ ...files, from: identityOf(from), to: identityOf(to) });
      expect(await codeOf(run)).toBe('DELTA_INVALID');
    }
  });

  it('wherever it ends too early, and where it goes on', async () => {
    const delta = await make(from, to);
    const random = randomOf(11);
    const ends = [
      0,
      5,
      11,
      12,
      40,
      delta.length - 1,
      ...Array.from({ length: 40 }, () => random() % delta.length),
    ];
    for (const end of ends) expect(await refusal(delta.subarray(0, end))).toBe('DELTA_INVALID');
    expect(await refusal(Buffer.concat([delta, Buffer.alloc(1)]))).toBe('DELTA_INVALID');
  });

  it('wherever a bit is flipped', async () => {
    const delta = await make(from, to);
    await fc.assert(
      fc.asyncProperty(fc.nat(delta.length - 1), fc.nat(7), async (place, bit) => {
        const bad = Buffer.from(delta);
        bad[place] = (bad[place] ?? 0) ^ (1 << bit);
        // A checksum of the format that nothing depends on does not matter: the file does.
        const code = await refusal(bad);
        if (code === 'none') expect((await readFile(at('target'))).equals(to)).toBe(true);
        else expect(code).toBe('DELTA_INVALID');
      }),
      {
        numRuns: 150,
        examples: [
          [8, 7],
          [11, 7],
        ],
      },
    );
  });

  /** A delta with a header that may say anything, and blocks. */
  const handmade = (header: object, ...blocks: readonly Uint8Array[]): Buffer => {
    const parts = blocks.flatMap((block) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(block.length);
      return [length, block];
    });
    return Buffer.concat([writeHeader(header as DeltaHeader), ...parts]);
  };
  const ends = { from: identityOf(from), to: identityOf(to) };
  const whole = { length: to.length, width: 1 };

  it.each([
    ['no segments', []],
    ['more bytes than the file has', [{ length: to.length + 1, width: 1 }]],
    ['bytes beyond the base', [{ length: to.length, from: 1, width: 1 }]],
    ['a base far away', [{ length: to.length, from: Number.MAX_SAFE_INTEGER, width: 1 }]],
    ['a width that there is none of', [{ ...whole, width: 3 }]],
    [
      'numbers that are cut',
      [
        { length: 3, from: 0, width: 2 },
        { length: to.length - 3, width: 1 },
      ],
    ],
    [
      'a negative length',
      [
        { length: -1, width: 1 },
        { length: to.length + 1, width: 1 },
      ],
    ],
    ['an empty part', [{ length: 0, width: 1 }, whole]],
    ['a length that is no number', [{ length: 'all', width: 1 }]],
  ])('where its header has %s, and nothing is written', async (_, segments) => {
    expect(await refusal(handmade({ ...ends, segments }))).toBe('DELTA_INVALID');
    await expect(stat(at('target'))).rejects.toThrow('ENOENT');
  });

  it('where its header has a digest that zod cannot look at', async () => {
    const odd = { digest: { length: { toString: null } }, size: 1 };
    expect(await refusal(handmade({ ...ends, from: odd, segments: [whole] }))).toBe('DELTA_INVALID');
  });

  it('where its header has a hundred thousand faults, in few words', async () => {
    for (const segments of [Array(100_000).fill(0), Array(30_000).fill('length')]) {
      const header = Buffer.from(JSON.stringify({ ...ends, segments }));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(header.length);
      const error: unknown = await apply(Buffer.concat([magic, length, header]), from, to).catch(
        (e: unknown) => e,
      );
      expect(error).toMatchObject({ code: 'DELTA_INVALID' });
      expect(String(error).length).toBeLessThan(500);
    }
  });

  it('where its header says that it is larger than the file, or than a header may be', async () => {
    for (const length of [1000, maxHeaderBytes + 1, 0xff_ff_ff_ff]) {
      const delta = Buffer.alloc(20);
      magic.copy(delta);
      delta.writeUInt32LE(length, magic.length);
      expect(await refusal(delta)).toBe('DELTA_INVALID');
    }
  });

  it('where it would make more than a delta may', async () => {
    await writeFile(at('base'), from);
    const wanted = { digest: digestOf(to), size: maxTargetBytes + 1 };
    await writeFile(
      at('delta'),
      handmade({ from: ends.from, to: wanted, segments: [{ length: wanted.size, width: 1 }] }),
    );
    const run = () =>
      applyDelta({ delta: at('delta'), base: at('base'), target: at('target'), from: ends.from, to: wanted });
    expect(await codeOf(run)).toBe('DELTA_INVALID');
  });

  it('where a block is a bomb: no more is unpacked than the block has', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(1 << 28));
    expect(bomb.length).toBeLessThan(200_000);
    const before = process.memoryUsage().rss;
    expect(await refusal(handmade({ ...ends, segments: [whole] }, bomb))).toBe('DELTA_INVALID');
    expect(process.memoryUsage().rss - before).toBeLessThan(128 << 20);
  });

  it('where a block is of many frames, shorter than it should be, or no zstd', async () => {
    const frame = zstdCompressSync(to);
    const blocks = [
      Buffer.concat([frame, frame]),
      zstdCompressSync(to.subarray(1)),
      Buffer.from('no zstd'),
      Buffer.alloc(0),
    ];
    for (const block of blocks)
      expect(await refusal(handmade({ ...ends, segments: [whole] }, block))).toBe('DELTA_INVALID');
    expect(await refusal(handmade({ ...ends, segments: [whole] }, frame))).toBe('none');
  });

  it('where a block needs a window of more memory than a block has', async () => {
    const compress = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
    compress.write(to.subarray(0, 10));
    compress.end(to.subarray(10));
    const greedy = Buffer.concat(await compress.toArray());
    expect(zstdDecompressSync(greedy).equals(to)).toBe(true);
    expect(await refusal(handmade({ ...ends, segments: [whole] }, greedy))).toBe('DELTA_INVALID');
  });

  it('where a block says that it takes more than it can', async () => {
    const delta = handmade({ ...ends, segments: [whole] }, zstdCompressSync(to));
    const header = writeHeader({ ...ends, segments: [{ length: to.length, width: 1 }] }).length;
    delta.writeUInt32LE(0xff_ff_ff_ff, header);
    expect(await refusal(delta)).toBe('DELTA_INVALID');
  });

  it('where all of it is right but the bytes', async () => {
    expect(
      await refusal(handmade({ ...ends, segments: [whole] }, zstdCompressSync(noise(to.length, 9)))),
    ).toBe('DELTA_INVALID');
  });
});
