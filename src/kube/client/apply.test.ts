import { beforeEach, describe, expect, it } from 'vitest';
import { FakeApi } from '../testing/fake-api.ts';
import type { KubeRequest } from './api.ts';
import { patchMerge, removeFinalizer, serverSideApply, updateStatus } from './apply.ts';
import { type KubeObject, pathOf, type ResourceType } from './object.ts';

const widgets: ResourceType = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
};
const options = { fieldManager: 'tester' };
const path = pathOf(widgets, 'team', 'w');

let api: FakeApi;
let widget: KubeObject;
beforeEach(() => {
  api = new FakeApi();
  widget = api.serve({
    method: 'POST',
    path: pathOf(widgets, 'team'),
    body: {
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'w', namespace: 'team', finalizers: ['other/one'] },
      spec: { size: 1 },
    },
  }) as KubeObject;
});

/** Somebody else changes the object. */
const change = (body: object): unknown =>
  api.serve({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body });

const conflict = expect.objectContaining({ code: 'KUBE_CONFLICT' });

describe('a write of the status', () => {
  it('replaces the status and nothing else', async () => {
    const written = await updateStatus(
      api,
      widgets,
      { ...widget, spec: { size: 9 }, status: { ready: true } },
      options,
    );
    expect(written).toMatchObject({ spec: { size: 1 }, status: { ready: true } });
    expect(api.requests.at(-1)).toMatchObject({ query: { fieldManager: 'tester' } });
    expect(Object.keys(api.requests.at(-1)?.body as object)).not.toContain('spec');
  });

  it('is refused when the object changed since it was read', async () => {
    change({ spec: { size: 2 } });
    await expect(updateStatus(api, widgets, { ...widget, status: {} }, options)).rejects.toThrow(conflict);
  });

  it('is refused when the object was deleted', async () => {
    api.objects.delete(path);
    const write = updateStatus(api, widgets, { ...widget, status: {} }, options);
    await expect(write).rejects.toThrow(expect.objectContaining({ code: 'KUBE_NOT_FOUND' }));
  });

  it('is not sent without a revision: that would write over anything', async () => {
    const unread = { ...widget, metadata: { ...widget.metadata, resourceVersion: '' } };
    const sent = api.requests.length;
    await expect(updateStatus(api, widgets, unread, options)).rejects.toThrow(
      'w is written without having been read',
    );
    expect(api.requests.length).toBe(sent);
  });
});

describe('a merge patch', () => {
  it('changes what it names, of the object that was read', async () => {
    const patched = await patchMerge(api, widgets, widget, { metadata: { labels: { a: 'b' } } }, options);
    expect(patched).toMatchObject({ metadata: { labels: { a: 'b' } }, spec: { size: 1 } });
    await expect(patchMerge(api, widgets, widget, { spec: null }, options)).rejects.toThrow(conflict);
  });
});

const withFinalizers = (...finalizers: readonly string[]) => ({ metadata: { finalizers } });

describe('finalizers', () => {
  it('are removed alone, and not from what was read too long ago', async () => {
    const added = await patchMerge(api, widgets, widget, withFinalizers('other/one', 'mine/two'), options);
    change({ metadata: { finalizers: ['other/one', 'mine/two', 'other/three'] } });
    await expect(removeFinalizer(api, widgets, added, 'mine/two', options)).rejects.toThrow(conflict);
    const read = await api.request<KubeObject>({ method: 'GET', path });
    const removed = await removeFinalizer(api, widgets, read, 'mine/two', options);
    expect(removed.metadata.finalizers).toEqual(['other/one', 'other/three']);
    expect(await removeFinalizer(api, widgets, removed, 'mine/two', options)).toBe(removed);
  });
});

it('applies as a manager, and takes fields of others only when told to', async () => {
  const sent: KubeRequest[] = [];
  const recorder = {
    request: async <T>(request: KubeRequest) => {
      sent.push(request);
      return {} as T;
    },
    stream: () => api.stream(),
  };
  const object = { metadata: { name: 'w', namespace: 'team' }, spec: { size: 3 } };
  await serverSideApply(recorder, widgets, object, options);
  await serverSideApply(recorder, widgets, object, { ...options, force: true, subresource: 'status' });
  const expected = {
    method: 'PATCH',
    path: '/apis/example.com/v1/namespaces/team/widgets/w',
    query: { fieldManager: 'tester', force: 'false' },
    contentType: 'application/apply-patch+yaml',
    body: { apiVersion: 'example.com/v1', kind: 'Widget', ...object },
  };
  expect(sent).toEqual([
    expected,
    { ...expected, path: `${expected.path}/status`, query: { fieldManager: 'tester', force: 'true' } },
  ]);
});
