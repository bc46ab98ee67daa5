import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../../../src/errors/code-of.fixture.ts';
import {
  patchMerge,
  removeFinalizer,
  serverSideApply,
  updateStatus,
} from '../../../src/kube/client/apply.ts';
import { connectKube, type KubeConnection } from '../../../src/kube/client/client.ts';
import { type KubeObject, pathOf, type ResourceType } from '../../../src/kube/client/object.ts';
import { EventRecorder } from '../../../src/kube/events/events.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { type Cluster, sharedCluster } from '../../cluster/index.ts';
import { waitFor } from '../../support/wait.ts';

const logger = pino({ level: 'silent' });
const widgets: ResourceType = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
};
/** A kind with a status of its own, and a spec that must be there. */
const widgetKind = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { kind: 'Widget', plural: 'widgets', singular: 'widget', listKind: 'WidgetList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: { size: { type: 'integer' }, color: { type: 'string' } },
              },
              status: {
                type: 'object',
                properties: { ready: { type: 'boolean' }, seen: { type: 'integer' } },
              },
            },
          },
        },
      },
    ],
  },
};
const options = { fieldManager: 'tester' };

let cluster: Cluster;
let api: KubeConnection;
let namespace: string;
beforeAll(async () => {
  cluster = await sharedCluster();
  api = connectKube({ kubeconfig: cluster.kubeconfig, clock: systemClock, logger });
  namespace = await cluster.createNamespace();
  await cluster.kubectlOk(['apply', '-f', '-'], JSON.stringify(widgetKind));
  await waitFor('the kind to be served', async () => {
    await api.request({ method: 'GET', path: pathOf(widgets, namespace) });
    return true;
  });
});
afterAll(() => api.close());

type Widget = KubeObject & {
  readonly spec: { readonly size: number; readonly color?: string };
  readonly status?: { readonly ready?: boolean; readonly seen?: number };
};
let widget: Widget;
let number = 0;
const apply = (spec: object, manager: string, force = false, name = widget.metadata.name): Promise<Widget> =>
  serverSideApply<Widget>(
    api,
    widgets,
    { metadata: { name, namespace }, spec },
    { fieldManager: manager, force },
  );
const read = (): Promise<Widget> =>
  api.request<Widget>({ method: 'GET', path: pathOf(widgets, namespace, widget.metadata.name) });
beforeEach(async () => {
  widget = await apply({ size: 1, color: 'red' }, 'one', false, `w${(number += 1)}`);
});

describe('server-side apply', () => {
  it('lets two managers each have their fields, and none take those of the other by accident', async () => {
    expect(await codeOf(() => apply({ size: 2 }, 'two'))).toBe('KUBE_CONFLICT');
    expect((await read()).spec).toEqual({ size: 1, color: 'red' });
    expect((await apply({ size: 2 }, 'two', true)).spec).toEqual({ size: 2, color: 'red' });
    // What the first one no longer says goes, unless another one says it.
    expect((await apply({ color: 'blue' }, 'one')).spec).toEqual({ size: 2, color: 'blue' });
    expect((await apply({ size: 2, color: 'blue' }, 'two')).spec).toEqual({ size: 2, color: 'blue' });
  });

  it('changes nothing when it is repeated', async () => {
    const again = await apply({ size: 1, color: 'red' }, 'one');
    expect(again.metadata.resourceVersion).toBe(widget.metadata.resourceVersion);
  });

  it('writes the status of an object that is there', async () => {
    const { name } = widget.metadata;
    const body = { metadata: { name, namespace }, status: { ready: true } };
    const status = { fieldManager: 'two', subresource: 'status' } as const;
    expect(await serverSideApply(api, widgets, body, status)).toMatchObject({ status: { ready: true } });
  });
});

const withFinalizers = (object: Widget, ...finalizers: readonly string[]) =>
  patchMerge<Widget>(api, widgets, object, { metadata: { finalizers } }, options);

describe('a write of the status', () => {
  it('needs no spec, changes none, and replaces the status that was', async () => {
    const first = await updateStatus(api, widgets, { ...widget, status: { ready: true } }, options);
    expect(first).toMatchObject({ spec: { size: 1, color: 'red' }, status: { ready: true } });
    const { metadata } = await updateStatus(api, widgets, { ...first, status: { seen: 3 } }, options);
    const now = await read();
    expect(now.status).toEqual({ seen: 3 });
    expect(now.metadata.resourceVersion).toBe(metadata.resourceVersion);
    expect(now.metadata.generation).toBe(1);
  });

  it('leaves the object at its version where the server drops what is new in it', async () => {
    const first = await updateStatus(api, widgets, { ...widget, status: { seen: 1 } }, options);
    const again = { ...first, status: { seen: 1, ofALaterRelease: 'x' } };
    const { status, metadata } = await updateStatus(api, widgets, again, options);
    expect(status).toEqual({ seen: 1 });
    expect(metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  });

  it('keeps labels, annotations and finalizers', async () => {
    const { name } = widget.metadata;
    await cluster.kubectlOk(['-n', namespace, 'label', 'widget.example.com', name, 'team=x']);
    const labelled = await withFinalizers(await read(), 'example.com/hold');
    const written = await updateStatus(api, widgets, { ...labelled, status: { seen: 1 } }, options);
    expect(written.metadata).toMatchObject({ labels: { team: 'x' }, finalizers: ['example.com/hold'] });
    await removeFinalizer(api, widgets, written, 'example.com/hold', options);
  });

  it('is refused when the object changed, is gone, or was made anew', async () => {
    await apply({ size: 5, color: 'red' }, 'one');
    const stale = { ...widget, status: { ready: true } };
    expect(await codeOf(() => updateStatus(api, widgets, stale, options))).toBe('KUBE_CONFLICT');
    const path = pathOf(widgets, namespace, widget.metadata.name);
    const now = await read();
    await api.request({ method: 'DELETE', path });
    expect(await codeOf(() => updateStatus(api, widgets, now, options))).toBe('KUBE_NOT_FOUND');
    await apply({ size: 5 }, 'one');
    expect(await codeOf(() => updateStatus(api, widgets, now, options))).toBe('KUBE_CONFLICT');
    expect((await read()).status).toBeUndefined();
  });
});

describe('finalizers', () => {
  it('hold a deleted object until they are removed, each by whom it belongs to', async () => {
    const mine = await withFinalizers(widget, 'example.com/mine');
    const both = await withFinalizers(mine, 'example.com/mine', 'example.com/other');
    expect(await codeOf(() => removeFinalizer(api, widgets, mine, 'example.com/mine', options))).toBe(
      'KUBE_CONFLICT',
    );
    await api.request({ method: 'DELETE', path: pathOf(widgets, namespace, both.metadata.name) });
    const deleted = await read();
    expect(deleted.metadata.deletionTimestamp).toBeDefined();
    const left = await removeFinalizer(api, widgets, deleted, 'example.com/mine', options);
    expect(left.metadata.finalizers).toEqual(['example.com/other']);
    await removeFinalizer(api, widgets, left, 'example.com/other', options);
    expect(await codeOf(read)).toBe('KUBE_NOT_FOUND');
  });

  it('are patched like anything else of what was read', async () => {
    const patched = await patchMerge<Widget>(api, widgets, widget, { spec: { color: null } }, options);
    expect(patched.spec).toEqual({ size: 1 });
    expect(await codeOf(() => patchMerge(api, widgets, widget, { spec: { size: 7 } }, options))).toBe(
      'KUBE_CONFLICT',
    );
  });
});

it('takes events, and counts of those that repeat', async () => {
  const recorder = new EventRecorder({
    api,
    clock: systemClock,
    random: Math.random,
    logger,
    controller: 'example.com/widgets',
    instance: 'tester-1',
  });
  const note = { regarding: widget, type: 'Warning', reason: 'TooWide', action: 'Measure' } as const;
  recorder.record({ ...note, note: 'wider than the door' });
  recorder.record({ ...note, note: 'é'.repeat(2000) });
  type Listed = {
    items: { note: string; reason: string; series?: { count: number }; metadata: { name: string } }[];
  };
  const listed = async (): Promise<Listed['items']> =>
    (
      await api.request<Listed>({
        method: 'GET',
        path: `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
      })
    ).items;
  await waitFor('two events', async () => (await listed()).length === 2);
  recorder.record({ ...note, note: 'wider than the door' });
  recorder.record({ ...note, note: 'wider than the door' });
  await recorder.close(10_000);
  expect(recorder.dropped).toBe(0);
  const events = await listed();
  expect(events).toHaveLength(2);
  expect(events.find((event) => event.note === 'wider than the door')?.series?.count).toBe(3);
  expect(events.some((event) => Buffer.byteLength(event.note) > 1000)).toBe(true);
  const described = await cluster.kubectlOk([
    '-n',
    namespace,
    'events',
    '--for',
    `widget.example.com/${widget.metadata.name}`,
  ]);
  expect(described).toContain('TooWide');
});
