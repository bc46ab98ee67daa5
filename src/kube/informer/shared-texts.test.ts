import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inputOfEvent } from './reflector-wire.ts';
import { SharedTexts } from './shared-texts.ts';

/** What is made, and bytes of the heap that it keeps. */
const weigh = (make: () => unknown) => {
  // Flags count from the next context on.
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  const before = process.memoryUsage().heapUsed;
  const kept = make();
  gc();
  return { kept, bytes: process.memoryUsage().heapUsed - before };
};

const text = 'x'.repeat(160);
const many = 20_000;

const call = { method: 'GET', path: '/api/v1/things' };
const type = { group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: true };

/** What a watch says of objects, each of its own JSON. */
const watched = (messageOf: (index: number) => string): unknown =>
  Array.from({ length: many }, (_, index) => {
    const metadata = `{"name":"a${index}","uid":"u${index}","resourceVersion":"5"}`;
    const object = `{"metadata":${metadata},"status":{"message":"${messageOf(index)}"}}`;
    return inputOfEvent(call, type, JSON.parse(`{"type":"ADDED","object":${object}}`));
  });

describe('texts of parsed objects', () => {
  it('are there once, where many objects of a watch have the same', () => {
    const alone = weigh(() => watched((index) => `${text}${100_000 + index}`));
    const shared = weigh(() => watched(() => `${text}100000`));
    expect((alone.bytes - shared.bytes) / many).toBeGreaterThan(140);
  });

  it('are remembered for a while: of 200,000 that are all different at most 16,384 are kept', () => {
    const texts = new SharedTexts();
    const { bytes } = weigh(() => {
      for (let index = 0; index < 200_000; index += 1) texts.shareIn([`${index}-${text}`]);
      return texts;
    });
    // All of them would be 40 MB.
    expect(bytes).toBeLessThan(16_384 * 350);
  });

  it('are the same texts', () => {
    const texts = new SharedTexts();
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value);
        texts.shareIn(value);
        expect(JSON.stringify(value)).toBe(before);
      }),
    );
  });
});
