import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { readWatchStream } from './watch-stream.ts';

const options = (clock = new FakeClock()) => ({
  call: { method: 'GET', path: '/watch' },
  clock,
  silentMs: 1000,
  maxLineBytes: 100,
});

const read = async (chunks: Iterable<Buffer>): Promise<unknown[]> =>
  await Array.fromAsync(readWatchStream(Readable.from(chunks, { objectMode: true }), options()));

const fails = (what: string) => ({ code: 'KUBE_UNAVAILABLE', what: `GET /watch: ${what}` });

describe('a watch stream', () => {
  it('gives the same documents wherever chunks are cut, also within characters', async () => {
    const documents = fc.array(fc.record({ text: fc.string({ unit: 'grapheme', maxLength: 8 }) }), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(documents, fc.array(fc.nat(60)), async (values, cuts) => {
        const bytes = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
        const ends = [...cuts.toSorted((a, b) => a - b), bytes.length];
        const chunks = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
        expect(await read(chunks)).toEqual(values);
      }),
    );
  });

  it('skips empty lines', async () => {
    expect(await read([Buffer.from('\n{"a":1}\n\n')])).toEqual([{ a: 1 }]);
  });

  it('takes a line that is just short enough, in one chunk and in two', async () => {
    const line = Buffer.from(`"${'x'.repeat(98)}"\n`);
    expect(await read([line])).toHaveLength(1);
    expect(await read([line.subarray(0, 50), line.subarray(50)])).toHaveLength(1);
  });

  it.each([
    ['the stream has a line of more than 100 bytes', ['"', 'x'.repeat(60), 'x'.repeat(60)]],
    ['the stream has a line of more than 100 bytes', [`"${'x'.repeat(99)}"\n`]],
    ['the stream has a line that is not JSON', ['{"a":\n']],
    ['the stream ended within a line', ['{"a":1}']],
  ])('fails: %s', async (what, chunks) => {
    await expect(read(chunks.map((chunk) => Buffer.from(chunk)))).rejects.toMatchObject(fails(what));
  });

  it('fails when a line is not UTF-8', async () => {
    await expect(read([Buffer.from([0x22, 0xff, 0x22, 0x0a])])).rejects.toMatchObject(
      fails('the stream has a line that is not JSON'),
    );
  });

  it('fails when nothing is heard, and closes the stream', async () => {
    const clock = new FakeClock();
    const stream = new Readable({ read: () => {} });
    const reader = readWatchStream(stream, options(clock));
    stream.push('1\n');
    expect(await reader.next()).toEqual({ done: false, value: 1 });
    const next = reader.next();
    clock.advance(999);
    stream.push('2\n');
    expect(await next).toEqual({ done: false, value: 2 });
    const last = reader.next();
    clock.advance(1000);
    await expect(last).rejects.toMatchObject({
      ...fails('the stream broke off'),
      cause: { message: 'nothing was heard for 1000 ms' },
    });
    expect(stream.destroyed).toBe(true);
  });

  it('does not take a slow reader for a silent server', async () => {
    const clock = new FakeClock();
    const stream = new Readable({ read: () => {} });
    const reader = readWatchStream(stream, options(clock));
    stream.push('1\n');
    await reader.next();
    clock.advance(60_000);
    stream.push('2\n');
    expect(await reader.next()).toEqual({ done: false, value: 2 });
  });

  it('closes the stream when its reader leaves', async () => {
    const stream = new Readable({ read: () => {} });
    const reader = readWatchStream(stream, options());
    stream.push('1\n');
    await reader.next();
    await reader.return();
    expect(stream.destroyed).toBe(true);
  });
});
