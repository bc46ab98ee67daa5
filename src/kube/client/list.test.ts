import { expect, it } from 'vitest';
import type { KubeApi, KubeRequest } from './api.ts';
import { listObjects } from './list.ts';

const type = { group: 'apps', version: 'v1', kind: 'Deployment', plural: 'deployments', namespaced: true };

it('reads one page after the other, each with the token of the one before, and the next one only when it is wanted', async () => {
  const asked: KubeRequest[] = [];
  const pages = [
    { items: ['a', 'b'], metadata: { continue: 'more' } },
    { items: ['c'], metadata: {} },
  ];
  const api: KubeApi = {
    request: (request) => {
      asked.push(request);
      return Promise.resolve(pages[asked.length - 1] as never);
    },
    stream: () => Promise.reject(new Error('no watch')),
  };
  const objects = listObjects<string>(api, type, { namespace: 'here', labelSelector: 'a=b' });
  expect([(await objects.next()).value, (await objects.next()).value, asked.length]).toEqual(['a', 'b', 1]);
  expect(await Array.fromAsync(objects)).toEqual(['c']);
  const path = '/apis/apps/v1/namespaces/here/deployments';
  const query = { limit: '500', labelSelector: 'a=b' };
  expect(asked).toEqual([
    { method: 'GET', path, query },
    { method: 'GET', path, query: { ...query, continue: 'more' } },
  ]);
});
