import { expect, it } from 'vitest';
import type { KubeRequest } from '../../kube/client/api.ts';
import { createStatusWriter } from './status-writer.ts';

const of = {
  kind: 'AdapterRollout',
  namespace: 'team-a',
  name: 'sql',
  uid: 'u1',
  resourceVersion: '7',
  metadata: {
    name: 'sql',
    uid: 'u1',
    resourceVersion: '7',
    creationTimestamp: '',
    labels: { team: 'x' },
    finalizers: ['adaptlet.io/in-use'],
  },
} as const;
const path = '/apis/adaptlet.io/v1alpha1/namespaces/team-a/adapterrollouts/sql';

it('writes conditionally, each part by its own request', async () => {
  const requests: KubeRequest[] = [];
  const writer = createStatusWriter({
    request: async <T>(request: KubeRequest) => {
      requests.push(request);
      return { metadata: { resourceVersion: request.method === 'PUT' ? '8' : '7' } } as T;
    },
    stream: () => Promise.reject(new Error('no watch here')),
  });
  const { signal } = new AbortController();
  expect(await writer.replaceStatus(of, { phase: 'Healthy' }, signal)).toBe(true);
  // At the same version as before: the object had it already.
  expect(await writer.mergeStatus(of, { phase: 'Healthy' }, signal)).toBe(false);
  expect(await writer.setFinalizers(of, ['x'], signal)).toBe(false);
  const metadata = { uid: 'u1', resourceVersion: '7' };
  // Without them their owners would lose them.
  const { labels, finalizers } = of.metadata;
  const whole = { ...metadata, labels, finalizers };
  expect(requests).toMatchObject([
    { method: 'PUT', path: `${path}/status`, body: { metadata: whole, status: { phase: 'Healthy' } } },
    { method: 'PATCH', path: `${path}/status`, body: { metadata, status: { phase: 'Healthy' } } },
    { method: 'PATCH', path, body: { metadata: { ...metadata, finalizers: ['x'] } } },
  ]);
  expect(requests.every((request) => request.signal === signal)).toBe(true);
});
