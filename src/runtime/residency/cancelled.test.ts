import { describe, expect, it } from 'vitest';
import { adapter, settle, world } from './fake-ports.ts';

describe('an adapter that is removed', () => {
  it('while what its fetch brought is noted leaves nothing on the disk, though nobody knew its digest', async () => {
    const w = world();
    const noted = w.script.hold('resolve');
    w.residency.apply([adapter('a', { tier: 'Disk' })]);
    await settle();
    expect(w.disk.size).toBe(1);
    w.residency.apply([]);
    noted.resolve();
    await settle();
    expect([w.disk.size, w.resolutions.size]).toEqual([0, 0]);
  });

  it.each([undefined, 'named'])(
    'while its fetch comes to its end leaves nothing on the disk (digest: %s)',
    async (digest) => {
      const grants = new Set<string>();
      const w = world({ endsLate: true, grants });
      const fetching = w.script.hold('fetch a');
      w.residency.apply([
        adapter('a', { tier: 'Disk', ...(digest === undefined ? {} : { digest: w.digest('a') }) }),
      ]);
      await settle();
      w.residency.apply([]);
      await settle();
      fetching.resolve();
      await settle();
      expect([w.script.count('fetch a'), w.disk.size]).toEqual([1, 0]);
    },
  );

  it('leaves what others have, and is no longer among those who have it', async () => {
    const grants = new Set<string>();
    const w = world({ endsLate: true, grants });
    w.content.set('b', 'a');
    const fetching = w.script.hold('fetch a');
    w.residency.apply([adapter('a', { tier: 'Disk' }), adapter('b', { tier: 'Disk' })]);
    await settle();
    w.residency.apply([adapter('b', { tier: 'Disk' })]);
    fetching.resolve();
    await settle();
    expect([...w.disk.keys()]).toEqual([w.digest('a')]);
  });

  it('while it is compiled leaves no compiled file', async () => {
    const w = world();
    const compiling = w.script.hold('compile a');
    w.residency.apply([adapter('a', { tier: 'Disk' })]);
    await settle();
    w.residency.apply([]);
    await settle();
    expect(w.script.count('uncompile a')).toBe(0);
    compiling.resolve();
    await settle();
    expect([w.script.count('uncompile a'), w.disk.size]).toEqual([1, 0]);
  });
});
