import { crc32, gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../src/errors/adaptlet-error.ts';
import { readFields } from '../../../src/runtime/engine/onnx/wire.ts';
import { folderOfTest } from '../../support/temporary-folder.ts';
import { corpusOf, keep, targetsInCorpus } from './corpus.ts';
import { execute, judged, type Verdict } from './judge.ts';
import { byteMutators } from './mutators/bytes.ts';
import { Choices, type Mutator } from './mutators/choices.ts';
import { json } from './mutators/json.ts';
import { protobuf } from './mutators/protobuf.ts';
import { safetensors } from './mutators/safetensors.ts';
import { checkedState } from './mutators/state.ts';
import { packed, tar } from './mutators/tar.ts';
import { runTarget } from './run.ts';
import { removeScratch } from './scratch.ts';
import { shrink } from './shrink.ts';
import { Broken, must, type Target, textOf } from './target.ts';
import { targetNamed, targets } from './targets.ts';

afterAll(removeScratch);

const target = (run: Target['run'], more: Partial<Target> = {}): Target => ({
  name: 'x',
  reads: 'x',
  examples: () => [],
  mutators: [],
  codes: ['MODEL_INVALID'],
  run,
  ...more,
});

describe('what broke a reader once', () => {
  const found = targets.flatMap(({ name }) => corpusOf(name).map((each) => ({ target: name, ...each })));

  it.each(found)('breaks it no more: $target $name', async ({ target: name, bytes }) => {
    expect(await execute(targetNamed(name), bytes)).not.toMatchObject({ kind: 'found' });
  });

  it('belongs to a reader that there is', () => {
    expect(found.length).toBeGreaterThan(0);
    for (const name of targetsInCorpus()) expect(targets.map((each) => each.name)).toContain(name);
  });
});

describe('targets', () => {
  it.each(targets)('$name takes its real examples or refuses them with a code', async (each) => {
    const examples = each.examples();
    expect(examples.length).toBeGreaterThan(0);
    const verdicts: Verdict[] = [];
    for (const bytes of examples.slice(0, 40)) verdicts.push(await execute(each, bytes));
    expect(verdicts.filter(({ kind }) => kind === 'found')).toEqual([]);
    expect(verdicts.some(({ kind }) => kind === 'accepted')).toBe(true);
  });

  it('take adapters of DoRA and with biases of B, as a node does', async () => {
    const read = targetNamed('safetensors');
    const verdicts: Verdict[] = [];
    for (const bytes of read.examples()) verdicts.push(await execute(read, bytes));
    const accepted = verdicts.flatMap(({ kind, mark }) => (kind === 'accepted' ? [mark] : []));
    expect(accepted).toEqual(expect.arrayContaining(['dora', 'loraBias']));
  });

  it('have names that differ', () => {
    expect(new Set(targets.map(({ name }) => name)).size).toBe(targets.length);
  });
});

describe('the verdict on an execution', () => {
  it('is that it was refused, for a code that the target may have', () => {
    const error = new AdaptletError('MODEL_INVALID', 'tensor "a" has 7 bytes');
    expect(
      judged(
        target(() => ''),
        error,
      ),
    ).toEqual({ kind: 'refused', mark: 'MODEL_INVALID tensor "" has 0 bytes' });
  });

  it.each([
    ['another code', new AdaptletError('INTERNAL', 'x')],
    ['an error of JavaScript', new TypeError('x is not a function')],
    ['a broken property', new Broken('outside')],
    ['no error at all', 'text'],
  ])('is a finding, for %s', (_, error) => {
    expect(
      judged(
        target(() => ''),
        error,
      ).kind,
    ).toBe('found');
  });
});

/** Changes of the same bytes, a few hundred. */
const changes = (mutator: Mutator, bytes: Uint8Array, seed = 1): readonly Uint8Array[] => {
  const choices = new Choices(seed);
  return Array.from({ length: 300 }, () => mutator(bytes, choices, () => bytes));
};
const sample = Buffer.from('{"a":1,"b":[2,{"c":"x"}],"size":17}');
const exampleOf = (name: string): Uint8Array => targetNamed(name).examples()[0] ?? new Uint8Array(0);
const hex = (each: readonly Uint8Array[]): readonly string[] =>
  each.map((bytes) => Buffer.from(bytes).toString('hex'));

describe('changes', () => {
  it.each([
    ['bytes', byteMutators[0]!, sample],
    ['JSON', json, sample],
    ['protobuf', protobuf, exampleOf('sync-request')],
    ['safetensors', safetensors, exampleOf('safetensors')],
    ['tar', tar, exampleOf('tar')],
  ])(
    'of %s are the same for a seed, others for another, and leave the example as it was',
    (_, mutator, bytes) => {
      const before = Buffer.from(bytes);
      expect(hex(changes(mutator, bytes))).toEqual(hex(changes(mutator, bytes)));
      expect(hex(changes(mutator, bytes))).not.toEqual(hex(changes(mutator, bytes, 2)));
      expect(Buffer.from(bytes)).toEqual(before);
    },
  );

  it('of JSON have keys twice, keys that objects inherit, and numbers beyond those of JavaScript', () => {
    const texts = changes(json, sample).map(textOf);
    expect(texts.some((text) => text.match(/"a":/g)?.length === 2)).toBe(true);
    expect(texts.some((text) => text.includes('"__proto__"'))).toBe(true);
    expect(texts.some((text) => text.includes('1e400'))).toBe(true);
    expect(texts.some((text) => text.includes('[[[[[[[['))).toBe(true);
  });

  it('of protobuf reach messages within messages, and lie about lengths', () => {
    const results = changes(protobuf, exampleOf('onnx')).map((bytes) => Buffer.from(bytes));
    const isMessage = (bytes: Buffer): boolean => {
      try {
        return readFields(bytes).length > 0;
      } catch {
        return false;
      }
    };
    expect(results.some(isMessage)).toBe(true);
    expect(results.some((bytes) => !isMessage(bytes))).toBe(true);
  });

  it('of archives are sums that are right again, in what is packed again', () => {
    const sumOf = (header: Buffer): number =>
      header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
    const right = changes(tar, exampleOf('tar')).filter((bytes) => {
      const header = Buffer.from(bytes.subarray(0, 512));
      return Number.parseInt(header.toString('latin1', 148, 156), 8) === sumOf(header);
    });
    expect(right.length).toBeGreaterThan(250);
    const unpacked = changes(packed('gzip'), exampleOf('gzip')).flatMap((bytes) => {
      try {
        return [gunzipSync(bytes)];
      } catch {
        return [];
      }
    });
    expect(unpacked.length).toBeGreaterThan(50);
  });

  it('of state files have the right checksum', () => {
    for (const bytes of changes(checkedState, exampleOf('plan-file'))) {
      const { crc32: sum, body } = JSON.parse(textOf(bytes)) as { crc32: number; body: string };
      expect(sum).toBe(crc32(body));
    }
  });
});

describe('a run', () => {
  it('says what it counted', async () => {
    const { tally, findings } = await runTarget(targetNamed('image-reference'), {
      seed: 1,
      ms: 20_000,
      executions: 500,
    });
    expect(findings).toEqual([]);
    expect(tally.executions).toBe(500);
    expect(tally.outcomes).toBeGreaterThan(3);
  });

  it.each([
    ['throws', /TypeError/],
    ['hangs', /hangs/],
    ['takes all memory', /ends the thread/],
    ['allocates more than it may', /left \d+ bytes/],
    ['breaks what holds', /the letter z/],
  ])('finds a reader that %s', async (what, pattern) => {
    const { findings } = await runTarget(
      { name: `test: ${what}`, maxMs: what === 'hangs' ? 1500 : 60_000 },
      { seed: 7, ms: 3000, executions: 1000, heapMegabytes: 64 },
    );
    expect(findings.map((each) => each.what).join()).toMatch(pattern);
    // The input that did it is known, also of a thread that is gone.
    expect(findings.every(({ input }) => textOf(input).includes('z'))).toBe(true);
  });

  it('makes what it found short', async () => {
    const reader = target((bytes) => {
      must(!textOf(bytes).includes('boom'), 'boom');
      return '';
    });
    const input = Buffer.from(`${'x'.repeat(500)}boom${'y'.repeat(500)}`);
    expect(textOf(await shrink(reader, input, { mark: 'broken: boom' }))).toBe('boom');
  });

  it('keeps what it found as a file that can be run again', async () => {
    const folder = folderOfTest();
    expect(keep(folder, 'tar', Buffer.from('x'))).toMatch(/tar\/[0-9a-f]{12}$/);
  });
});
