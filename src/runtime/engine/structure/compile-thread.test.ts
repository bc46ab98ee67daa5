import { readdir, readFile } from 'node:fs/promises';
import { getPriority, platform } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../time/clock.ts';
import type { Structure } from '../engine.ts';
import { CompileThread } from './compile-thread.ts';
import { ofSchema, tinyVocabulary } from './compiled.fixture.ts';
import { Grammar } from './grammar.ts';
import { Instance, readModule } from './instance.ts';

const of = tinyVocabulary;
const clock = systemClock;
const thread = new CompileThread({ of, clock, limits: { firstMs: 60_000, ms: 3_000 } });
/** On a busy machine. */
const patient = new CompileThread({ of, clock, limits: { firstMs: 60_000, ms: 60_000 } });
afterAll(() => Promise.all([thread.close(), patient.close()]));
const whose = { namespace: '', tenant: '' };
const regex = (source: string): Structure => ({ kind: 'regex', source });

describe('hostile structures are refused within bounds, and the thread goes on', () => {
  const words = Array.from({ length: 8_000 }, (_, index) => `w${index * 7919}`);
  const nested = (levels: number): unknown =>
    levels === 0 ? { type: 'string' } : { anyOf: [nested(levels - 1), { items: nested(levels - 1) }] };
  it.each<[string, Structure]>([
    ['a pattern that explodes', regex('(a|b|ab)*c(a|b){900}(.{0,200}x){50}')],
    ['repetitions within repetitions', regex('((((a{1,99}){1,99}){1,99}){1,99}){1,99}')],
    ['a set of places', regex('.*a.{1,2000}.*b.{1,2000}.*')],
    ['an array of a million', ofSchema({ type: 'array', items: { type: 'string' }, minItems: 1_000_000 })],
    ['a text of a million', ofSchema({ type: 'string', minLength: 1_000_000, pattern: 'a.*b.*c' })],
    ['schemas that double', ofSchema(nested(13))],
    [
      'allOf of anyOfs',
      ofSchema({ allOf: Array.from({ length: 20 }, () => ({ anyOf: [{ minimum: 1 }, { maxLength: 3 }] })) }),
    ],
    ['a reference to itself', ofSchema({ $ref: '#' })],
    [
      'references in a ring',
      ofSchema({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }),
    ],
    ['a grammar that is left-recursive without an end', { kind: 'lark', source: 'start: start' }],
    ['a grammar of nothing but nothing', { kind: 'lark', source: 'start: start start |' }],
    ['brackets', { kind: 'lark', source: `start: ${'('.repeat(5000)}"a"${')'.repeat(5000)}` }],
    ['deep JSON', { kind: 'json', source: `${'{"items":'.repeat(5000)}{}${'}'.repeat(5000)}` }],
    ['a long one', { kind: 'json', source: `{"const": "${'x'.repeat(200_000)}"}` }],
  ])('%s', async (_, structure) => {
    const outcome = await thread.compile(structure, whose).then(
      ({ memory }) => ({ bytes: memory.length }),
      (error: unknown) => ({ error }),
    );
    if ('error' in outcome) {
      expect(outcome.error).toMatchObject({
        code: expect.stringMatching(/^STRUCTURE_(TOO_COMPLEX|UNSUPPORTED)$/),
      });
    } else expect(outcome.bytes).toBeLessThanOrEqual(256 << 20);
    expect(await thread.compile(regex('ab'), whose)).toHaveProperty('memory');
  });

  it('thousands of choices are no hostility', async () => {
    const { module, memory } = await patient.compile(ofSchema({ enum: words }), whose);
    const mask = new Grammar(new Instance(module, () => undefined, memory)).begin(true);
    expect(mask.mask().some((word) => word !== 0)).toBe(true);
  });
});

it('what was compiled comes without a copy: the thread that runs steps would have to make it', async () => {
  const { memory } = await patient.compile(regex('ab'), whose);
  expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
});

it('all of it is of one module, also behind a thread that ended', async () => {
  const hurried = new CompileThread({ of, clock, limits: { firstMs: 60_000, ms: 1 } });
  const { module } = await hurried.compile(regex('ab'), whose);
  const many = ofSchema({ enum: Array.from({ length: 8_000 }, (_, index) => `w${index * 7919}`) });
  await expect(hurried.compile(many, whose)).rejects.toMatchObject({ code: 'STRUCTURE_TOO_COMPLEX' });
  expect((await hurried.compile(regex('ab'), whose)).module).toBe(module);
  await hurried.close();
});

it('who comes when too many wait is told to come again', async () => {
  const all = Array.from({ length: 70 }, (_, index) => patient.compile(regex(`a{${index}}`), whose));
  const outcomes = await Promise.allSettled(all);
  const refused = outcomes.filter(({ status }) => status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  expect(refused).toEqual(
    refused.map(() => ({ status: 'rejected', reason: expect.objectContaining({ code: 'QUEUE_FULL' }) })),
  );
});

it('who fills the queue keeps no other namespace and no other tenant from it', async () => {
  const one = (index: number, namespace: string, tenant: string) =>
    patient.compile(regex(`b{${index}}`), { namespace, tenant });
  const crowd = Array.from({ length: 70 }, (_, index) => one(index, 'a', 'anna'));
  const others = [one(1, 'a', 'bert'), one(2, 'b', 'anna')];
  const [refused] = await Promise.all([Promise.allSettled(crowd), Promise.all(others)]);
  expect(refused.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
});

const ownNice = getPriority();
it.skipIf(platform() !== 'linux')('gives way to those that run steps', async () => {
  await thread.compile(regex('ab'), whose);
  const threads = await readdir('/proc/self/task');
  const nices = await Promise.all(
    threads.map(async (id) => {
      const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    }),
  );
  expect(nices).toContain(Math.min(ownNice + 10, 19));
});

it('without the module the error says what to do', async () => {
  await expect(readModule(new URL('file:///nowhere/'))).rejects.toMatchObject({
    code: 'STRUCTURE_NOT_AVAILABLE',
    message: expect.stringContaining('make token-masks'),
  });
});
