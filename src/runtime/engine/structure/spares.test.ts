import * as fc from 'fast-check';
import { afterEach, expect, it, vi } from 'vitest';
import type { Structure } from '../engine.ts';
import { admits, allowed, compiled, grammarOf, ofSchema, tinyCodec } from './compiled.fixture.ts';
import { Grammar } from './grammar.ts';
import { Instance } from './instance.ts';
import { Spares } from './spares.ts';
import { Structures } from './structures.ts';
import type { TokenMask } from './token-mask.ts';

const whose = { namespace: 'a', tenant: 'anna' };
const texts = Array.from({ length: 8 }, (_, index) => `${'ab'.repeat(index)}c`);
/** The memory of the last ones is larger. */
const structures: readonly Structure[] = [
  ...texts.map((source) => ({ kind: 'regex', source }) as const),
  ...[40, 80].map((count) =>
    ofSchema({
      anyOf: Array.from({ length: count }, (_, index) => ({
        type: 'object',
        properties: { [`p${index}`]: { type: 'string', pattern: `^a{${index}}$` } },
        required: [`p${index}`],
        additionalProperties: false,
      })),
    }),
  ),
];

afterEach(() => {
  vi.restoreAllMocks();
});

it('an instance that becomes another one is that one, and has nothing of what it was', async () => {
  const [small, large] = [
    await compiled(structures[0] as Structure),
    await compiled(structures[9] as Structure),
  ];
  expect(large.memory.length).toBeGreaterThan(small.memory.length);
  const instance = new Instance(large.module, () => undefined, large.memory);
  instance.mask(instance.begin());
  instance.become(small.memory);
  const copy = instance.copy();
  expect(Buffer.compare(copy.subarray(0, small.memory.length), small.memory)).toBe(0);
  expect(copy.subarray(small.memory.length).every((byte) => byte === 0)).toBe(true);
  const grammar = new Grammar(instance);
  expect(texts.filter((text) => admits(grammar, text))).toEqual(['c']);
});

const make = async (room: number) => {
  const { memory } = await compiled(structures[0] as Structure);
  const maxBytes = Math.floor(room * memory.length);
  const made = vi.spyOn(WebAssembly, 'Instance');
  return {
    maxBytes,
    /** New instances of structures: each compile has one of its own at most. */
    made,
    structures: new Structures({
      thread: { compile: async (structure) => await known(structure), close: async () => undefined },
      tokenize: (text) => tinyCodec.encodePart(text),
      maxBytes,
    }),
  };
};

/** Compiled once. */
const compiledOnes = new Map<string, ReturnType<typeof compiled>>();
const known = (structure: Structure): ReturnType<typeof compiled> => {
  const made = compiledOnes.get(structure.source) ?? compiled(structure);
  compiledOnes.set(structure.source, made);
  return made;
};

it('what comes has the instance of what left for it', async () => {
  for (const structure of structures) await known(structure);
  const w = await make(3.5);
  for (let turn = 0; turn < 4; turn += 1)
    for (const structure of structures.slice(0, 8)) {
      const mask = await w.structures.begin(structure, whose, false);
      expect(allowed(mask.mask())).toEqual([structure.source[0]]);
      mask.release();
      expect(w.structures.bytes).toBeLessThanOrEqual(w.maxBytes);
    }
  expect(w.made).toHaveBeenCalledTimes(3);
});

it('the smallest that fits is taken, and none where there is no room for it, or of one that is much too large', async () => {
  const { module, memory } = await known(structures[0] as Structure);
  const page = 65_536;
  const larger = (bytes: number): Instance => {
    const all = new Uint8Array(memory.length + bytes);
    all.set(memory);
    return new Instance(module, () => undefined, all);
  };
  const spares = new Spares();
  const [large, middle, tooLarge] = [larger(8 * page), larger(page), larger((4 << 20) + page)];
  for (const one of [tooLarge, large, middle]) spares.add(one);
  expect(spares.become(memory, -1)).toBeUndefined();
  expect(spares.become(memory, 0)).toBe(middle);
  expect(spares.become(memory, 0)).toBe(large);
  expect(spares.become(memory, 0)).toBeUndefined();
  const small = new Instance(module, () => undefined, memory);
  spares.add(small);
  const grown = new Uint8Array(memory.length + 2 * page);
  grown.set(memory);
  expect(spares.become(grown, page)).toBe(tooLarge);
  expect(spares.become(grown, page)).toBeUndefined();
  expect(spares.become(grown, 2 * page)).toBe(small);
});

it('one that trapped, or is needed no more for want of memory, is nobody else’s', async () => {
  const { module, memory } = await known(structures[0] as Structure);
  const instance = new Instance(module, () => undefined, memory);
  const [used, stopped] = [new Grammar(instance), new Grammar(new Instance(module, () => undefined, memory))];
  const mask = used.begin(false);
  expect(used.giveUp()).toBeUndefined();
  mask.release();
  expect(used.giveUp()).toBe(instance);
  expect(used.giveUp()).toBeUndefined();
  expect(() => used.begin(false)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  expect(stopped.isUsed).toBe(true);
  stopped.stop();
  // Else nobody would let go of one that was stopped before its first answer.
  expect(stopped.isUsed).toBe(false);
  expect(stopped.giveUp()).toBeUndefined();
});

it('masks are those of their structure, in whatever order answers begin and end', {
  timeout: 60_000,
}, async () => {
  const expected = await Promise.all(
    structures.map(async (structure) => allowed((await grammarOf(structure)).begin(false).mask())),
  );
  for (const structure of structures) await known(structure);
  const act = fc.tuple(fc.nat(structures.length - 1), fc.boolean());
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { maxLength: 40 }),
      fc.double({ min: 3, max: 8, noNaN: true }),
      async (acts, room) => {
        const w = await make(room);
        const running: (readonly [which: number, mask: TokenMask])[] = [];
        for (const [which, begins] of acts) {
          if (begins)
            try {
              running.push([which, await w.structures.begin(structures[which] as Structure, whose, false)]);
            } catch (error) {
              expect(error).toMatchObject({ code: 'QUEUE_FULL' });
            }
          else running.shift()?.[1].release();
          for (const [of, mask] of running) expect(allowed(mask.mask())).toEqual(expected[of]);
          expect(w.structures.bytes).toBeLessThanOrEqual(w.maxBytes);
        }
      },
    ),
    { numRuns: 30 },
  );
});
