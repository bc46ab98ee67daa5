import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { adapter, key, never, settle, stateOf, type World, world } from './fake-ports.ts';

/** The adapter `other/<name>` with the source and the digest of `team/<name>`. */
const ofOther = (w: World, name: string) =>
  versioned(
    adapterResource(objectKey('other', name), {
      uid: `other-${name}`,
      source: { path: { path: name } },
      digest: w.digest(name),
      tier: 'Memory',
    }),
  );
const planned = (w: World, name: string) => adapter(name, { tier: 'Memory', digest: w.digest(name) });
const otherState = (w: World, name: string) => w.residency.state(objectKey('other', name));

/** A node with the content of `a` on the disk. */
const start = (granted: (w: World) => readonly string[]) => {
  const grants = new Set<string>();
  const w = world({ grants });
  w.disk.set(w.digest('a'), 5);
  for (const one of granted(w)) grants.add(one);
  return { w, grants };
};

describe('an adapter whose content is on the disk', () => {
  it('comes from there when its namespace was granted it', async () => {
    const { w } = start(({ digest }) => [`team ${digest('a')}`]);
    w.residency.apply([planned(w, 'a')]);
    await settle();
    expect([stateOf(w, 'a'), w.script.count('fetch a')]).toEqual(['Resident', 0]);
  });

  it('is asked for at its source when only another namespace was', async () => {
    const { w } = start(({ digest }) => [`other ${digest('a')}`]);
    w.residency.apply([planned(w, 'a')]);
    await settle();
    expect([stateOf(w, 'a'), w.script.count('fetch a')]).toEqual(['Resident', 1]);
  });

  it('fails where the source refuses it, and the other goes on', async () => {
    const { w } = start(({ digest }) => [`other ${digest('a')}`]);
    w.script.fail('fetch a', new AdaptletError('REGISTRY_DENIED', 'r.test/a: it forbids access'));
    w.residency.apply([ofOther(w, 'a'), planned(w, 'a')]);
    await settle();
    expect(w.residency.state(key('a'))).toMatchObject({
      kind: 'Failed',
      failure: { code: 'REGISTRY_DENIED' },
    });
    expect(otherState(w, 'a')?.kind).toBe('Resident');
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toThrow('REGISTRY_DENIED');
    // It is not compiled out of the store by a later try either.
    w.script.fail('fetch a', new AdaptletError('REGISTRY_DENIED', 'r.test/a: it forbids access'));
    w.residency.retry(key('a'));
    await settle();
    expect(stateOf(w, 'a')).toBe('Failed');
  });

  it('waits for a source that cannot be reached, says so, and comes once it can be', async () => {
    const { w } = start(({ digest }) => [`other ${digest('a')}`]);
    w.script.fail('fetch a', new AdaptletError('REGISTRY_UNAVAILABLE', 'r.test did not answer'), 2);
    w.residency.apply([ofOther(w, 'a'), planned(w, 'a')]);
    await settle();
    expect(w.residency.view(key('a'))).toMatchObject({ state: 'Failed', reason: 'REGISTRY_UNAVAILABLE' });
    expect(otherState(w, 'a')?.kind).toBe('Resident');
    w.clock.advance(1_000);
    await settle();
    expect(stateOf(w, 'a')).toBe('Failed');
    w.clock.advance(2_000);
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('is that of one user as well', async () => {
    const { w } = start(({ digest }) => [`other ${digest('a')}`]);
    w.script.fail('fetch a', new AdaptletError('ARTIFACT_NOT_FOUND', 'a is not in the registry'));
    w.residency.apply([]);
    w.residency.ensure(adapter('a', { digest: w.digest('a') }));
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toThrow('ARTIFACT_NOT_FOUND');
  });
});

describe('the grant of a namespace', () => {
  it('ends when its plan has the digest no more, while another keeps it', async () => {
    const { w, grants } = start(({ digest }) => [`team ${digest('a')}`, `other ${digest('a')}`]);
    w.residency.apply([ofOther(w, 'a'), planned(w, 'a')]);
    await settle();
    w.residency.apply([ofOther(w, 'a')]);
    await settle();
    expect([...grants]).toEqual([`other ${w.digest('a')}`]);
    expect([otherState(w, 'a')?.kind, w.disk.has(w.digest('a'))]).toEqual(['Resident', true]);
  });

  it('stays while another adapter of it has the digest', async () => {
    const { w, grants } = start(({ digest }) => [`team ${digest('a')}`]);
    const twin = versioned(
      adapterResource(key('twin'), {
        uid: 'uid-twin',
        source: { path: { path: 'a' } },
        digest: w.digest('a'),
        tier: 'Memory',
      }),
    );
    w.residency.apply([planned(w, 'a'), twin]);
    await settle();
    w.residency.apply([twin]);
    await settle();
    expect([...grants]).toEqual([`team ${w.digest('a')}`]);
  });
});
