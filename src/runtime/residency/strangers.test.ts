import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { Artifacts } from '../../artifact/artifacts.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { digestOf } from './fake-engine.ts';
import { never, settle, world } from './fake-ports.ts';

const userOf = (name: string, namespace = 'team') =>
  versioned(
    adapterResource(objectKey(namespace, `route/own/${name}`), {
      uid: `${namespace} ${name}`,
      source: { oci: { image: name } },
      tier: 'None',
    }),
  );

/** A node whose registry has the adapters of `known`, and no others. */
const node = (known = new Set<string>(), broken = new Set<string>()) => {
  const disk = new Set<string>();
  let asked = 0;
  const nothing = async (): Promise<void> => undefined;
  const artifacts: Artifacts = {
    fetch: async ({ source }) => {
      asked += 1;
      const image = source.oci?.image ?? '';
      if (broken.has(image)) throw new AdaptletError('ARTIFACT_FORMAT', 'seen');
      if (!known.has(image)) throw new AdaptletError('ARTIFACT_NOT_FOUND', `there is no ${image}`);
      disk.add(digestOf(image));
      return { digest: digestOf(image), bytes: 5 };
    },
    stored: (_, digest) => (disk.has(digest) ? { bytes: 5 } : undefined),
    folder: (digest) => digest,
    verify: nothing,
    checkSigned: nothing,
    remove: nothing,
    release: nothing,
    held: () => [],
    disown: nothing,
    quarantine: nothing,
  };
  const compiler = {
    compile: async () => ({ file: '/x', bytes: 5, ramBytes: 10, rank: 8, targetModules: ['q_proj'] }),
    remove: nothing,
    bytesOf: () => 0,
  };
  const prefetch = { downloads: true, hourlyBytes: 1e9 };
  const w = world({ artifacts, compiler, prefetch, maxDynamic: 8 });
  w.residency.apply([]);
  const guess = async (name: string, namespace?: string): Promise<void> => {
    w.residency.expect([userOf(name, namespace)]);
    await settle();
  };
  const ask = async (name: string): Promise<unknown> => {
    const user = userOf(name);
    try {
      w.residency.ensure(user);
      using _lease = await w.residency.acquire(user.name, { signal: never() });
      return 'served';
    } catch (error) {
      return error;
    }
  };
  return { ...w, guess, ask, asked: () => asked };
};
const many = Array.from({ length: 10_000 }, (_, n) => `u${n}`);

describe('10,000 users that have no adapter', () => {
  it('cause a bounded number of guesses in an hour, which are those of their namespace', async () => {
    const w = node();
    for (let round = 0; round < 2; round++) for (const name of many) await w.guess(name);
    expect(w.asked()).toBe(4_096);
    await w.guess('u0', 'other');
    expect(w.asked()).toBe(4_097);
    w.clock.advance(3_600_000);
    for (const name of many.slice(0, 5_000)) await w.guess(name);
    expect(w.asked()).toBe(2 * 4_096 + 1);
  });

  it('are each asked for once, however often they ask, though few of them are registered at a time', async () => {
    const w = node();
    for (const name of many) await w.ask(name);
    expect(w.asked()).toBe(10_000);
    for (const name of many.slice(-4_096)) expect(await w.ask(name)).toBeInstanceOf(AdaptletError);
    expect(w.asked()).toBe(10_000);
  });
});

describe('a user whose source had nothing', () => {
  it('is served once it has, half a minute later, whether it is registered or not', async () => {
    const known = new Set<string>();
    const w = node(known);
    for (const name of ['u1', 'u2']) await w.ask(name);
    for (const name of many.slice(100, 107)) await w.ask(name);
    known.add('u1').add('u2');
    const states = ['u1', 'u2'].map((name) => w.residency.state(userOf(name).name)?.kind);
    expect(states).toEqual([undefined, 'Failed']);
    expect(await w.ask('u1')).toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE', retryAfterMs: 30_000 });
    expect(await w.ask('u2')).toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
    expect(w.asked()).toBe(9);
    w.clock.advance(30_000);
    expect([await w.ask('u1'), await w.ask('u2')]).toEqual(['served', 'served']);
    expect(w.asked()).toBe(11);
  });

  it('is served as well where others had nothing since, after an hour', async () => {
    const known = new Set<string>();
    const w = node(known);
    await w.ask('u1');
    w.clock.advance(3_600_000);
    await w.ask('u2');
    known.add('u1');
    expect(await w.ask('u1')).toBe('served');
  });

  it('and has something unreadable since is not fetched again with each request', async () => {
    const broken = new Set<string>();
    const w = node(new Set(), broken);
    await w.ask('u1');
    broken.add('u1');
    w.clock.advance(30_000);
    for (let round = 0; round < 3; round++)
      expect(await w.ask('u1')).toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
    expect(w.asked()).toBe(2);
  });
});

it('users that have none keep no guess from one who is known to have one', async () => {
  const w = node(new Set(['mine']));
  for (const name of ['mine', ...many.slice(0, 4_100)]) await w.guess(name);
  const state = () => w.residency.state(userOf('mine').name)?.kind;
  expect([w.asked(), state()]).toEqual([4_097, undefined]);
  await w.guess('mine');
  expect([w.asked(), state()]).toEqual([4_097, 'Compiled']);
});
