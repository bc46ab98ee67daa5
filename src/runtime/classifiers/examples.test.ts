import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { classifierFile, classifierFiles, readClassifier } from './artifact-file.ts';
import { distil } from './distil.ts';
import { compileExamples } from './examples.ts';
import { principalDirections } from './principal.ts';
import { likeness, maxPrototypes, prototypesOf } from './prototypes.ts';
import { StaticTable } from './static-table.ts';
import { anyText, axes, axisTable, vocabulary } from './tables.fixture.ts';
import { dot, toUnit } from './vectors.ts';
import { WordPieces } from './word-pieces.ts';

describe('word pieces', () => {
  const pieces = new WordPieces(['[PAD]', 'un', '##aff', '##able', 'a', 'é', '東', '!'], {
    lowercase: true,
    stripAccents: false,
  });

  it('are the longest that fit, and words that do not fit are left out', () => {
    expect(pieces.encode('Unaffable a unaffablex A!', 9)).toEqual([1, 2, 3, 4, 4, 7]);
    expect(pieces.encode('東a東', 9)).toEqual([6, 4, 6]);
  });

  it('are as many as allowed, of as many words as allowed', () => {
    expect(pieces.encode('a a a a', 3)).toEqual([4, 4, 4]);
    expect(pieces.encode('unaffable a', 2)).toEqual([1, 2]);
    expect(pieces.encode('zz zz a', 2)).toEqual([]);
  });

  it('lose their accents where the encoder does so', () => {
    const plain = new WordPieces(['cafe'], { lowercase: true, stripAccents: true });
    expect(plain.encode('CAFÉ café', 4)).toEqual([0, 0]);
  });

  it('are in the vocabulary, of any text, and long words end', () => {
    fc.assert(
      fc.property(anyText(200), (text) => {
        expect(pieces.encode(text, 16).every((id) => id > 0 && id < 8)).toBe(true);
      }),
    );
    expect(pieces.encode('a'.repeat(1_000_000), 16)).toEqual([]);
  });
});

describe('prototypes', () => {
  const unit = (...values: number[]) => toUnit(Float32Array.from(values)) ?? expect.fail('no direction');

  it('are the vectors themselves where they are few, else centres of length 1', () => {
    const few = [unit(1, 0), unit(0, 1)];
    expect(prototypesOf(few)).toBe(few);
    const many = Array.from({ length: 40 }, (_, index) =>
      unit(Math.cos(index / 9), Math.sin(index / 9), 0.2),
    );
    const centres = prototypesOf(many);
    expect(centres.length).toBe(maxPrototypes);
    for (const centre of centres) expect(dot(centre, centre)).toBeCloseTo(1, 4);
    for (const vector of many) expect(likeness(vector, centres)).toBeGreaterThan(0.9);
  });

  it('like a vector by the nearest, and a little by the second', () => {
    expect(likeness(unit(1, 0), [unit(1, 0), unit(0, 1)])).toBeCloseTo(0.875, 5);
    expect(likeness(unit(1, 0), [unit(1, 0)])).toBeCloseTo(1, 5);
    expect(likeness(unit(1, 0), [unit(-1, 0)])).toBe(0);
  });
});

describe('directions in which rows vary most', () => {
  it('are found, at right angles and of length 1', () => {
    const rows = Array.from({ length: 200 }, (_, index) => {
      const [a, b] = [Math.sin(index * 1.7), Math.cos(index * 3.1)];
      return Float32Array.of(3 * a, 3 * a + 0.5 * b, 0.01 * b, 0);
    });
    const [first = new Float32Array(4), second = new Float32Array(4)] = principalDirections(rows, 2);
    expect(Math.abs(dot(first, Float32Array.of(Math.SQRT1_2, Math.SQRT1_2, 0, 0)))).toBeGreaterThan(0.99);
    expect(dot(first, first)).toBeCloseTo(1, 4);
    expect(dot(second, second)).toBeCloseTo(1, 4);
    expect(dot(first, second)).toBeCloseTo(0, 4);
  });
});

describe('examples', () => {
  const table = new StaticTable(axisTable());

  it('make a text like its label', () => {
    const scorer = compileExamples(
      table,
      [
        { name: 'weather', texts: ['rain', 'sun rain'] },
        { name: 'music', texts: ['jazz'] },
      ],
      64,
    );
    const best = (text: string) => scorer.score(text, 64)?.toSorted((a, b) => b.score - a.score)[0];
    expect(best('some jazz')).toMatchObject({ label: 'music' });
    expect(best('rain')).toMatchObject({ label: 'weather' });
    expect(scorer.score('nothing known', 64)).toBeUndefined();
  });

  it('of a label that the table knows no word of are refused, as is a table without a head that gets none', () => {
    expect(() => compileExamples(table, [{ name: 'a', texts: ['zzz'] }], 64)).toThrow(
      'the label a has no example',
    );
    expect(() => compileExamples(table, undefined, 64)).toThrow('its artifact has no head');
  });
});

describe('a table that is distilled', () => {
  let folder = '';
  beforeEach(() => {
    folder = folderOfTest();
  });

  const make = (examples?: readonly { text: string; label: string }[]) =>
    distil({
      vocabulary,
      special: new Set([0]),
      normalization: { lowercase: true, stripAccents: true },
      embed: async (ids) => ids.map((id) => axes(id)),
      dimensions: 4,
      maxTokens: 64,
      ...(examples === undefined ? {} : { examples }),
    });
  const write = async (parts: Awaited<ReturnType<typeof make>>) => {
    for (const [name, bytes] of classifierFiles(parts, 'encoder')) await writeFile(join(folder, name), bytes);
  };
  const examples = [
    { text: 'rain', label: 'weather' },
    { text: 'sun', label: 'weather' },
    { text: 'jazz', label: 'music' },
    { text: 'song jazz', label: 'music' },
  ];

  it('comes back from its folder as it was, and learns labels from examples', async () => {
    await write(await make(examples));
    const read = await readClassifier(folder);
    const scorer = compileExamples(read, undefined, 64);
    const labelOf = (text: string) => scorer.score(text, 64)?.toSorted((a, b) => b.score - a.score)[0]?.label;
    expect(scorer.labels).toEqual(['music', 'weather']);
    expect(examples.map(({ text }) => labelOf(text))).toEqual(examples.map(({ label }) => label));
    expect(labelOf('sun rain')).toBe('weather');
  });

  it('has the same bytes each time', async () => {
    const [one, other] = await Promise.all([make(examples), make(examples)]);
    expect([...classifierFiles(one, 'e')]).toEqual([...classifierFiles(other, 'e')]);
  });

  it('needs two labels for a head', async () => {
    await expect(make([{ text: 'rain', label: 'weather' }])).rejects.toThrow('two labels or more');
  });

  it.each<[string, (text: string) => string, RegExp]>([
    ['is not JSON', () => '{', /is not JSON/],
    ['is of another version', (text) => text.replace('"version":1', '"version":2'), /version/],
    ['has an unknown field', (text) => text.replace('{', '{"more":1,'), /more/i],
    ['has fewer words than rows', (text) => text.replace('"rain",', ''), /is I8 \[8, 4\], not I8 \[7, 4\]/],
    [
      'names a head that is not there',
      (text) => text.replace('"vocabulary"', '"labels":["a","b"],"vocabulary"'),
      /has no head.weight/,
    ],
  ])('is refused where its description %s', async (_, change, reason) => {
    await write(await make());
    const text = await readFile(join(folder, classifierFile), 'utf8');
    await writeFile(join(folder, classifierFile), change(text));
    await expect(readClassifier(folder)).rejects.toMatchObject({
      code: 'ROUTE_CLASSIFIER_INVALID',
      message: expect.stringMatching(reason) as string,
    });
  });

  it('is refused where its numbers are cut, missing or not finite', async () => {
    const parts = await make();
    await write(parts);
    const weights = join(folder, 'adapter_model.safetensors');
    const bytes = await readFile(weights);
    await writeFile(weights, bytes.subarray(0, bytes.length - 1));
    await expect(readClassifier(folder)).rejects.toMatchObject({ code: 'ADAPTER_FILE_TRUNCATED' });
    await rm(weights);
    await expect(readClassifier(folder)).rejects.toMatchObject({ code: 'ROUTE_CLASSIFIER_INVALID' });
    await write({ ...parts, scales: parts.scales.map(() => Number.NaN) });
    await expect(readClassifier(folder)).rejects.toThrow('not finite');
  });
});
