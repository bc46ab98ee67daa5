import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResourceType } from '../client/object.ts';
import { initialState, transition } from './reflector-state.ts';
import { inputOfEvent, inputOfPage } from './reflector-wire.ts';

const call = { method: 'GET', path: '/api/v1/things' };
const type: ResourceType = { group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: true };
const copy = 'kubectl.kubernetes.io/last-applied-configuration';
const metadata = { name: 'a', namespace: 'n', uid: 'u', resourceVersion: '5' };

describe('what a list says', () => {
  it('gives objects their kind, and drops managedFields and the copy that kubectl keeps', () => {
    const body = {
      metadata: { resourceVersion: '9', continue: 'more' },
      items: [
        { metadata: { ...metadata, managedFields: [{ manager: 'x' }] }, spec: { a: 1 } },
        { metadata: { ...metadata, annotations: { [copy]: '{"spec":{"a":1}}', note: 'x' } } },
        { metadata: { ...metadata, annotations: { note: 'x' } } },
      ],
    };
    expect(inputOfPage(call, type, body)).toStrictEqual({
      type: 'page',
      version: '9',
      token: 'more',
      objects: [
        { apiVersion: 'v1', kind: 'Thing', metadata, spec: { a: 1 } },
        { apiVersion: 'v1', kind: 'Thing', metadata: { ...metadata, annotations: { note: 'x' } } },
        { apiVersion: 'v1', kind: 'Thing', metadata: { ...metadata, annotations: { note: 'x' } } },
      ],
    });
  });

  it('takes null for an empty list', () => {
    expect(inputOfPage(call, type, { metadata: { resourceVersion: '9' }, items: null })).toMatchObject({
      type: 'page',
      objects: [],
      token: undefined,
    });
  });

  it.each([
    ['the list has no resourceVersion', undefined],
    ['the list has no resourceVersion', { items: [] }],
    ['the list has no resourceVersion', { metadata: { resourceVersion: 'x' }, items: [] }],
    ['the list has no items', { metadata: { resourceVersion: '9' } }],
    ['the list has an object without metadata', { metadata: { resourceVersion: '9' }, items: [{}] }],
  ])('is not taken for an empty one: %s', (what, body) => {
    expect(inputOfPage(call, type, body)).toMatchObject({
      type: 'failed',
      error: { code: 'KUBE_UNAVAILABLE', what: `GET /api/v1/things: ${what}` },
    });
  });
});

describe('what an event says', () => {
  it('is a change, a deletion, or a bookmark', () => {
    const object = { apiVersion: 'v1', kind: 'Thing', metadata };
    const inputs = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'].map((kind) =>
      inputOfEvent(call, type, { type: kind, object }),
    );
    expect(inputs).toStrictEqual([
      { type: 'put', object },
      { type: 'put', object },
      { type: 'remove', object },
      { type: 'bookmark', version: '5' },
    ]);
  });

  it.each([
    [410, 'KUBE_GONE'],
    [500, 'KUBE_UNAVAILABLE'],
    [undefined, 'KUBE_UNAVAILABLE'],
  ])('is an error that ends the watch: %s', (code, ours) => {
    const object = {
      kind: 'Status',
      message: 'too old\nresource version',
      ...(code === undefined ? {} : { code }),
    };
    expect(inputOfEvent(call, type, { type: 'ERROR', object })).toMatchObject({
      type: 'refused',
      error: { code: ours, what: `GET /api/v1/things: too old resource version (${code ?? 500})` },
    });
  });

  it.each([
    ['an event that is no object', 'x'],
    ['an event of the unknown type "NEW"', { type: 'NEW', object: { metadata } }],
    ['an object without metadata', { type: 'ADDED', object: { spec: {} } }],
    [
      'an object without metadata',
      { type: 'ADDED', object: { metadata: { ...metadata, resourceVersion: '' } } },
    ],
    ['a bookmark without a version', { type: 'BOOKMARK', object: {} }],
  ])('is a failure: %s', (what, event) => {
    expect(inputOfEvent(call, type, event)).toMatchObject({
      type: 'failed',
      error: { code: 'KUBE_UNAVAILABLE', what: `GET /api/v1/things: the watch has ${what}` },
    });
  });
});

it('nothing that a server can send makes the reflector throw', () => {
  const watching = { ...initialState, at: 'watching', stream: 'open' } as const;
  const nearly = fc.record(
    {
      type: fc.constantFrom('ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR', ''),
      object: fc.oneof(
        fc.record({
          metadata: fc.record(
            {
              name: fc.string(),
              uid: fc.string(),
              resourceVersion: fc.oneof(fc.string(), fc.nat().map(String), fc.jsonValue()),
            },
            { requiredKeys: [] },
          ),
        }),
        fc.jsonValue(),
      ),
      items: fc.array(fc.jsonValue()),
      metadata: fc.record(
        { resourceVersion: fc.nat().map(String), continue: fc.jsonValue() },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(nearly, fc.jsonValue()), (value) => {
      transition(watching, inputOfEvent(call, type, value));
      transition(initialState, inputOfPage(call, type, value));
    }),
    { numRuns: 2000 },
  );
});
