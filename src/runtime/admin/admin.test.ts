import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { createAdmin } from './admin.ts';

it('a pinned adapter is taken out of RAM only by who may take even pinned ones out', async () => {
  const evicted: string[] = [];
  const none = (): never => {
    throw new Error('not asked for');
  };
  const admin = createAdmin({
    residency: {
      view: (key: string) => ({ pinned: key === 'team-a/pinned' }),
      evict: async (key: string) => void evicted.push(key),
    } as unknown as Parameters<typeof createAdmin>[0]['residency'],
    status: none,
    rolloutVerb: none,
    trustCluster: none,
    confirmRemovals: none,
    explain: none,
  });
  const { signal } = new AbortController();
  const [pinned, free] = [objectKey('team-a', 'pinned'), objectKey('team-a', 'free')];
  await expect(admin.evict(pinned, signal, { evenPinned: false })).rejects.toMatchObject({
    code: 'VERB_REFUSED',
  });
  await admin.evict(free, signal, { evenPinned: false });
  await admin.evict(pinned, signal, { evenPinned: true });
  await admin.evict(pinned, signal);
  expect(evicted).toEqual(['team-a/free', 'team-a/pinned', 'team-a/pinned']);
});
