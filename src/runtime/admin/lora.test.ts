import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Brought } from '../serving/demand.ts';
import { type BroughtAdapters, loraVerbs } from './lora.ts';

const key = objectKey('default', 'sql');
const { signal } = new AbortController();

type Start = {
  readonly comes?: Brought;
  readonly planned?: boolean;
  readonly follows?: string;
};

const start = ({ comes = 'unknown', planned = false, follows = 'operator' }: Start = {}) => {
  const told: string[] = [];
  const state = {
    fail: undefined as Error | undefined,
    stays: undefined as Error | undefined,
    pinned: false,
    /** Each is awaited before one is in RAM. */
    gates: [] as Promise<void>[],
  };
  const brought: BroughtAdapters = {
    add: async (name, path) => void told.push(`add ${name} ${path}`),
    remove: async (name) => {
      told.push(`remove ${name}`);
      if (state.stays !== undefined) throw state.stays;
    },
  };
  const verbs = loraVerbs({
    brought: follows === 'operator' ? undefined : brought,
    residency: { state: () => (planned ? { kind: 'Remote' } : undefined) } as unknown as Parameters<
      typeof loraVerbs
    >[0]['residency'],
    demand: { bring: async () => comes, used: () => undefined },
    preload: async (name) => {
      told.push(`preload ${name}`);
      await state.gates.shift();
      if (state.fail !== undefined) throw state.fail;
    },
    evict: async (name) => void told.push(`evict ${name}`),
    mayLeave: (name, { evenPinned }) => {
      if (state.pinned && !evenPinned) throw new AdaptletError('VERB_REFUSED', `${name} is pinned`);
    },
  });
  return { verbs, told, state };
};

it('with an operator, what the plan has is loaded, also what it has on demand; nothing else', async () => {
  for (const node of [start({ planned: true }), start({ comes: 'here' })]) {
    await node.verbs.load(key, '/any', signal);
    expect(node.told).toEqual(['preload default/sql']);
  }
  const { verbs, told } = start();
  await expect(verbs.load(key, '/any', signal)).rejects.toMatchObject({
    code: 'VERB_REFUSED',
    advice: expect.stringContaining('Apply an Adapter'),
  });
  expect(told).toEqual([]);
  await verbs.unload(key, signal, { evenPinned: false });
  expect(told).toEqual(['evict default/sql']);
});

it('with a folder, it is loaded once it serves, and unloaded with its name', async () => {
  const { verbs, told } = start({ follows: 'folder' });
  await verbs.load(key, 'sql', signal);
  await verbs.unload(key, signal, { evenPinned: true });
  expect(told).toEqual(['add default/sql sql', 'preload default/sql', 'remove default/sql']);
});

it('what cannot serve leaves nothing behind, and says so where it does', async () => {
  const { verbs, told, state } = start({ follows: 'folder' });
  state.fail = new AdaptletError('ADAPTER_NO_EFFECT', 'its output equals the base');
  await expect(verbs.load(key, 'sql', signal)).rejects.toBe(state.fail);
  expect(told.at(-1)).toBe('remove default/sql');
  state.stays = new Error('the disk is full');
  await expect(verbs.load(key, 'sql', signal)).rejects.toMatchObject({
    code: 'ADAPTER_NO_EFFECT',
    what: expect.stringContaining('the disk is full'),
  });
});

it.each(['operator', 'folder'])('with %s, a pinned one is unloaded only by who may', async (follows) => {
  const { verbs, told, state } = start({ follows });
  state.pinned = true;
  await expect(verbs.unload(key, signal, { evenPinned: false })).rejects.toMatchObject({
    code: 'VERB_REFUSED',
  });
  expect(told).toEqual([]);
  await verbs.unload(key, signal, { evenPinned: true });
  expect(told).toHaveLength(1);
});

it('a load that fails takes back nothing that came after it', async () => {
  const { verbs, told, state } = start({ follows: 'folder' });
  const slow = Promise.withResolvers<void>();
  state.gates.push(slow.promise);
  const first = verbs.load(key, 'sql', signal);
  const unloaded = verbs.unload(key, signal, { evenPinned: true });
  const second = verbs.load(key, 'other', signal);
  slow.reject(new AdaptletError('ADAPTER_NO_EFFECT', 'its output equals the base'));
  await expect(first).rejects.toMatchObject({ code: 'ADAPTER_NO_EFFECT' });
  await Promise.all([unloaded, second]);
  expect(told).toEqual([
    'add default/sql sql',
    'preload default/sql',
    'remove default/sql',
    'remove default/sql',
    'add default/sql other',
    'preload default/sql',
  ]);
});

it('who leaves while another call for the adapter is done is not kept waiting', async () => {
  const { verbs, told, state } = start({ follows: 'folder' });
  const slow = Promise.withResolvers<void>();
  state.gates.push(slow.promise);
  const first = verbs.load(key, 'sql', signal);
  const caller = new AbortController();
  const second = verbs.load(key, 'sql', caller.signal);
  caller.abort(new Error('left'));
  await expect(second).rejects.toThrow('left');
  slow.resolve();
  await first;
  expect(told).toEqual(['add default/sql sql', 'preload default/sql']);
});
