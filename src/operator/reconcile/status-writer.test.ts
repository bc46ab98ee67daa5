import { expect, it } from 'vitest';
import type { KubeRequest } from '../../kube/client/api.ts';
import { createStatusWriter } from './status-writer.ts';

const of = {
  kind: 'AdapterRollout',
  namespace: 'team-a',
  name: 'sql',
  uid: 'u1',
  resourceVersion: '7',
} as const;
const path = '/apis/adaptlet.io/v1alpha1/namespaces/team-a/adapterrollouts/sql';

it('writes conditionally, each part by its own request', async () => {
  const requests: KubeRequest[] = [];
  const writer = createStatusWriter({
    request: async <T>(request: KubeRequest) => {
      requests.push(request);
      return {} as T;
    },
    stream: () => Promise.reject(new Error('no watch here')),
  });
  const { signal } = new AbortController();
  await writer.replaceStatus(of, { phase: 'Healthy' }, signal);
  await writer.mergeStatus(of, { phase: 'Healthy' }, signal);
  await writer.setFinalizers(of, ['x'], signal);
  const metadata = { uid: 'u1', resourceVersion: '7' };
  expect(requests).toMatchObject([
    { method: 'PUT', path: `${path}/status`, body: { metadata, status: { phase: 'Healthy' } } },
    { method: 'PATCH', path: `${path}/status`, body: { metadata, status: { phase: 'Healthy' } } },
    { method: 'PATCH', path, body: { metadata: { ...metadata, finalizers: ['x'] } } },
  ]);
  expect(requests.every((request) => request.signal === signal)).toBe(true);
});
