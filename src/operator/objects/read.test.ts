import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { readAdapter } from './read.ts';

const raw = (status: object) => ({
  apiVersion: 'adaptlet.io/v1alpha1',
  kind: 'Adapter',
  metadata: { name: 'sql', namespace: 'team', uid: 'u', resourceVersion: '1', creationTimestamp: '' },
  spec: { baseModel: 'tiny', source: { path: { path: 'sql' } } },
  status,
});

const status = {
  observedGeneration: 1,
  digest: fakeDigest('1'),
  runtimes: { desired: 1, stored: 1, resident: 1, serving: 1, failed: 0 },
  failures: [],
  conditions: [],
};

describe('a status that a later operator wrote', () => {
  it('is read without the fields that are not known, at any depth', () => {
    const later = { ...status, mood: 'good', runtimes: { ...status.runtimes, dreaming: 2 } };
    expect(readAdapter(raw(later)).object?.status).toEqual(readAdapter(raw(status)).object?.status);
    expect(readAdapter(raw(later)).object?.status?.digest).toBe(status.digest);
  });

  it('is a problem when what is known is wrong, and is not touched', () => {
    const wrong = { ...status, mood: 'good', digest: 'md5:1' };
    const read = readAdapter(raw(wrong));
    expect(read.object).toBeUndefined();
    expect(read.problems.map(({ path }) => path.join('.'))).toContain('status.digest');
    expect(wrong.mood).toBe('good');
  });
});
