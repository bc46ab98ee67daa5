import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Structure } from '../engine.ts';
import { seededRandom } from '../random.ts';
import { compiled, tinyCodec } from './compiled.fixture.ts';
import { Structures, usualStructureBytes } from './structures.ts';
import type { TokenMask } from './token-mask.ts';

const ofText = (source: string): Structure => ({ kind: 'regex', source });
const [anna, bert, other] = [
  { namespace: 'a', tenant: 'anna' },
  { namespace: 'a', tenant: 'bert' },
  { namespace: 'b', tenant: 'anna' },
];

const make = (maxBytes = usualStructureBytes) => {
  const asked: string[] = [];
  const state: { fails: AdaptletError | undefined } = { fails: undefined };
  const structures = new Structures({
    thread: {
      compile: async (structure) => {
        asked.push(structure.source);
        if (state.fails !== undefined) throw state.fails;
        return await compiled(structure);
      },
      close: async () => undefined,
    },
    tokenize: (text) => tinyCodec.encodePart(text),
    maxBytes,
  });
  return { structures, asked, state };
};

describe('structures are compiled', () => {
  it('once for a tenant, also when they come at the same time, and again for another one', async () => {
    const { structures, asked } = make();
    await Promise.all([structures.begin(ofText('a'), anna, true), structures.begin(ofText('a'), anna, true)]);
    await structures.begin(ofText('a'), anna, true);
    expect(asked).toEqual(['a']);
    await structures.begin(ofText('a'), bert, true);
    await structures.begin(ofText('a'), other, true);
    await structures.begin({ kind: 'lark', source: 'start: "a"' }, anna, true);
    expect(asked).toEqual(['a', 'a', 'a', 'start: "a"']);
  });

  it('again after one of them failed an answer', async () => {
    const { structures, asked } = make();
    const mask = await structures.begin(ofText('a'), anna, true);
    expect(() => mask.took(0)).toThrow();
    mask.release();
    await structures.begin(ofText('a'), anna, true);
    expect(asked).toEqual(['a', 'a']);
  });
});

it('are refused before anything is compiled where there is no memory for them', async () => {
  const { structures, asked } = make(0);
  await expect(structures.begin(ofText('a'), anna, true)).rejects.toMatchObject({
    code: 'STRUCTURE_NOT_AVAILABLE',
  });
  expect(asked).toEqual([]);
});

describe('what was refused', () => {
  it('is refused again without another look', async () => {
    const { structures, asked } = make();
    for (let time = 0; time < 3; time += 1)
      await expect(structures.begin(ofText('('), anna, true)).rejects.toMatchObject({
        code: 'STRUCTURE_UNSUPPORTED',
      });
    expect(asked).toEqual(['(']);
  });

  it('for want of time or room is looked at again', async () => {
    const { structures, asked, state } = make();
    const errors = [
      new AdaptletError('QUEUE_FULL', 'x', { retryAfterMs: 1 }),
      new AdaptletError('STRUCTURE_TOO_COMPLEX', 'x', { retryAfterMs: 1 }),
    ];
    for (const error of errors) {
      state.fails = error;
      await expect(structures.begin(ofText('a'), anna, true)).rejects.toBe(error);
    }
    state.fails = undefined;
    await structures.begin(ofText('a'), anna, true);
    expect(asked).toEqual(['a', 'a', 'a']);
  });
});

describe('of a full memory', () => {
  const one = async (): Promise<number> => (await compiled(ofText('a'))).memory.length;

  it('those leave that nobody uses, of the namespace that has most', async () => {
    const { structures, asked } = make(3.5 * (await one()));
    for (const [source, whose] of [
      ['a', anna],
      ['b', bert],
      ['c', other],
      ['d', other],
    ] as const)
      (await structures.begin(ofText(source), whose, true)).release();
    // Namespace a had two: its oldest one left.
    for (const source of ['b']) (await structures.begin(ofText(source), bert, true)).release();
    (await structures.begin(ofText('c'), other, true)).release();
    expect(asked).toEqual(['a', 'b', 'c', 'd']);
    (await structures.begin(ofText('a'), anna, true)).release();
    expect(asked).toEqual(['a', 'b', 'c', 'd', 'a']);
    expect(structures.bytes).toBeLessThanOrEqual(3.5 * (await one()));
  });

  it('what is still compiled counts once it is, however many others come meanwhile', async () => {
    const open = Promise.withResolvers<void>();
    const structures = new Structures({
      thread: {
        compile: async (structure) => {
          if (structure.source === 'slow') await open.promise;
          else throw new AdaptletError('STRUCTURE_UNSUPPORTED', 'x');
          return await compiled(structure);
        },
        close: async () => undefined,
      },
      tokenize: (text) => tinyCodec.encodePart(text),
      maxBytes: usualStructureBytes,
    });
    const slow = structures.begin(ofText('slow'), anna, true);
    for (let n = 0; n < 300; n += 1)
      await expect(structures.begin(ofText(`(${n}`), anna, true)).rejects.toThrow();
    open.resolve();
    const mask = await slow;
    expect(structures.bytes).toBe((await compiled(ofText('slow'))).memory.length);
    mask.release();
  });

  it('what leaves in the moment in which an answer begins counts for as long as the answer goes on', async () => {
    const [a, b] = [await compiled(ofText('a')), await compiled(ofText('b'))];
    for (let turns = 0; turns < 10; turns += 1) {
      const open = Promise.withResolvers<typeof b>();
      const structures = new Structures({
        thread: {
          compile: ({ source }) => (source === 'a' ? Promise.resolve(a) : open.promise),
          close: async () => undefined,
        },
        tokenize: () => undefined,
        maxBytes: 1.5 * a.memory.length,
      });
      (await structures.begin(ofText('a'), anna, true)).release();
      const later = structures.begin(ofText('b'), anna, true);
      open.resolve(b);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      const outcomes = await Promise.allSettled([structures.begin(ofText('a'), anna, true), later]);
      const used = outcomes.filter(({ status }) => status === 'fulfilled').length;
      expect(structures.bytes, `after ${turns} turns`).toBe(used * a.memory.length);
    }
  });

  it('nothing leaves that an answer uses: the next one has to wait', async () => {
    const { structures } = make(2.5 * (await one()));
    const first = await structures.begin(ofText('a'), anna, true);
    await structures.begin(ofText('b'), anna, true);
    await expect(structures.begin(ofText('c'), other, true)).rejects.toMatchObject({
      code: 'QUEUE_FULL',
      retryAfterMs: expect.any(Number),
    });
    first.release();
    await structures.begin(ofText('c'), other, true);
  });
});

describe('what answers find out of a structure', () => {
  /** Which of the last 24 letters were which of four: each token leads to states that nobody saw. */
  const growing = ofText('[a-d]*(a[a-d]{24}|b[a-d]{24}|c[a-d]{24})');
  const letters = tinyCodec.encodePart('abcd');
  const goOn = (mask: TokenMask, random: () => number): void => {
    mask.mask();
    mask.took(letters[Math.floor(random() * letters.length)] ?? 0);
  };
  const page = 65_536;

  it('counts, and leaves with the last answer once it is large', async () => {
    const { structures, asked } = make();
    const [mask, second] = [
      await structures.begin(growing, anna, true),
      await structures.begin(growing, anna, true),
    ];
    const before = structures.bytes;
    const random = seededRandom(1);
    while (structures.bytes <= before + (4 << 20)) goOn(mask, random);
    mask.release();
    expect(structures.bytes).toBeGreaterThan(before + (4 << 20));
    second.release();
    expect(structures.bytes).toBe(0);
    await structures.begin(growing, anna, true);
    expect(asked).toHaveLength(2);
    expect(structures.bytes).toBe(before);
  });

  it('ends no answer at states that earlier ones used up', async () => {
    const { structures, asked } = make();
    // By itself an answer has them for 2,200 tokens.
    const hungry = ofText('.*a.{100}|.*b.{100}');
    const random = seededRandom(1);
    for (let answer = 0; answer < 13; answer += 1) {
      const mask = await structures.begin(hungry, anna, true);
      for (let token = 0; token < 200; token += 1) goOn(mask, random);
      mask.release();
    }
    expect(asked.length).toBeGreaterThan(1);
    expect(asked.length).toBeLessThan(7);
  });

  it('makes those leave that nobody uses, and then ends answers of the one that grew most, and of no other', async () => {
    const small = (await compiled(ofText('a'))).memory.length;
    const large = (await compiled(growing)).memory.length;
    const most = 2 * small + large + 8 * page;
    const { structures, asked } = make(most);
    (await structures.begin(ofText('a'), anna, true)).release();
    const [grows, stays] = [
      await structures.begin(growing, anna, true),
      await structures.begin(ofText('[a-d]*'), bert, true),
    ];
    const random = seededRandom(1);
    const goOnUntilRefused = (): void => {
      for (;;) {
        goOn(grows, random);
        expect(structures.bytes).toBeLessThanOrEqual(most + 4 * page);
        goOn(stays, random);
      }
    };
    expect(goOnUntilRefused).toThrow(
      expect.objectContaining({ code: 'STRUCTURE_TOO_COMPLEX', retryAfterMs: 1000 }),
    );
    // It took the place of the one that nobody used.
    expect(structures.bytes).toBeGreaterThan(most - 4 * page);
    for (let token = 0; token < 20; token += 1) goOn(stays, random);
    grows.release();
    expect(structures.bytes).toBeLessThan(2 * small);
    (await structures.begin(growing, anna, true)).release();
    expect(asked).toEqual(['a', growing.source, '[a-d]*', growing.source]);
  });
});

it('where memory is short what nobody uses leaves, and comes again when it is asked for', async () => {
  const { structures, asked } = make();
  const used = await structures.begin(ofText('a'), anna, true);
  (await structures.begin(ofText('b'), anna, true)).release();
  structures.forgetUnused();
  expect(structures.bytes).toBe((await compiled(ofText('a'))).memory.length);
  (await structures.begin(ofText('a'), anna, true)).release();
  used.release();
  (await structures.begin(ofText('b'), anna, true)).release();
  expect(asked).toEqual(['a', 'b', 'b']);
});
