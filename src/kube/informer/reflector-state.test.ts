import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { KubeObject } from '../client/object.ts';
import {
  initialState,
  type ReflectorInput,
  type ReflectorState,
  transition,
  type Waiting,
} from './reflector-state.ts';

const object = (version: number): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: {
    name: 'a',
    uid: 'u',
    resourceVersion: String(version),
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
});
const error = (code: ErrorCode, retryAfterMs?: number) =>
  new AdaptletError(code, 'x', retryAfterMs === undefined ? {} : { retryAfterMs });
const page = (version: string, token?: string): ReflectorInput => ({
  type: 'page',
  objects: [object(3)],
  version,
  token,
});

const counts = { seen: 0n, failures: 0, stuck: 0 };
const listing: ReflectorState = initialState;
const paging: ReflectorState = { ...counts, at: 'listing', next: { token: 't', version: '10' } };
const asked: ReflectorState = { ...counts, seen: 10n, at: 'watching', stream: 'asked' };
const open: ReflectorState = { ...asked, stream: 'open' };
const checking: ReflectorState = { ...counts, seen: 10n, at: 'checking' };
const heard: ReflectorState = { ...asked, stream: 'heard' };
const waiting = (state: Partial<Waiting>): Waiting => ({
  ...counts,
  at: 'waiting',
  failures: 1,
  retryAfterMs: undefined,
  resume: 'list',
  ...state,
});

describe('a reflector', () => {
  const edges: readonly [
    title: string,
    from: ReflectorState,
    input: ReflectorInput,
    to: ReflectorState,
    actions: string[],
  ][] = [
    ['goes on with the next page', listing, page('10', 't'), paging, ['begin', 'stage']],
    [
      'watches from the first page’s version after the last page',
      paging,
      page('12'),
      asked,
      ['stage', 'commit'],
    ],
    ['watches after a list of one page', listing, page('10'), asked, ['begin', 'stage', 'commit']],
    [
      'lists again after a list that failed, as late as the server wishes',
      listing,
      { type: 'failed', error: error('KUBE_UNAVAILABLE', 7000) },
      waiting({ retryAfterMs: 7000 }),
      ['failed'],
    ],
    [
      'keeps its place in a list when a page failed',
      paging,
      { type: 'failed', error: error('KUBE_UNAVAILABLE') },
      waiting({ resume: { page: { token: 't', version: '10' } } }),
      ['failed'],
    ],
    [
      'begins the list again when the version of its pages is gone',
      paging,
      { type: 'failed', error: error('KUBE_GONE') },
      waiting({}),
      ['failed'],
    ],
    [
      'keeps what it has when the server does not let it list',
      { ...listing, seen: 10n },
      { type: 'failed', error: error('KUBE_FORBIDDEN') },
      waiting({ seen: 10n }),
      ['failed'],
    ],
    [
      'does not take over a list that is older than what it saw',
      { ...listing, seen: 11n },
      page('10'),
      waiting({ seen: 11n }),
      ['failed'],
    ],
    ['says that a watch is accepted', asked, { type: 'opened' }, open, ['watching']],
    [
      'moves on with an event, and forgets failures',
      { ...open, failures: 4, stuck: 2 },
      { type: 'put', object: object(11) },
      { ...heard, seen: 11n },
      ['put'],
    ],
    ['does not move back with a late event', open, { type: 'remove', object: object(9) }, heard, ['remove']],
    [
      'moves on with a bookmark',
      open,
      { type: 'bookmark', version: '15' },
      { ...heard, seen: 15n },
      ['progress'],
    ],
    ['watches on without a list when a watch ended in order', heard, { type: 'ended' }, asked, []],
    [
      'pauses when a watch ended without a word',
      open,
      { type: 'ended' },
      waiting({ seen: 10n, resume: 'check' }),
      [],
    ],
    [
      'resumes where it was after a connection broke',
      heard,
      { type: 'failed', error: error('KUBE_UNAVAILABLE') },
      waiting({ seen: 10n, resume: 'check' }),
      ['failed'],
    ],
    [
      'does not count a server that is away as a stream that breaks',
      asked,
      { type: 'failed', error: error('KUBE_UNAVAILABLE') },
      waiting({ seen: 10n, resume: 'check' }),
      ['failed'],
    ],
    [
      'counts streams that break before their first event',
      open,
      { type: 'failed', error: error('KUBE_UNAVAILABLE') },
      waiting({ seen: 10n, stuck: 1, resume: 'check' }),
      ['failed'],
    ],
    [
      'lists when the third stream in a row breaks before its first event',
      { ...open, stuck: 2, failures: 2 },
      { type: 'failed', error: error('KUBE_UNAVAILABLE') },
      waiting({ seen: 10n, stuck: 3, failures: 3, resume: 'list' }),
      ['failed'],
    ],
    [
      'keeps watching for the permission to watch, without a list',
      asked,
      { type: 'failed', error: error('KUBE_FORBIDDEN') },
      waiting({ seen: 10n, resume: 'check' }),
      ['failed'],
    ],
    [
      'lists when the version to watch from is gone',
      asked,
      { type: 'failed', error: error('KUBE_GONE') },
      waiting({ seen: 10n }),
      ['failed'],
    ],
    [
      'lists when the server cannot go on with the watch',
      heard,
      { type: 'refused', error: error('KUBE_GONE') },
      waiting({ seen: 10n }),
      ['failed'],
    ],
    [
      'lists after waiting',
      waiting({ seen: 10n, failures: 2 }),
      { type: 'waited' },
      { ...listing, seen: 10n, failures: 2 },
      [],
    ],
    [
      'reads the page after waiting',
      waiting({ resume: { page: { token: 't', version: '10' } } }),
      { type: 'waited' },
      { ...paging, failures: 1 },
      [],
    ],
    [
      'asks how far the server is after waiting',
      waiting({ seen: 10n, resume: 'check', stuck: 1 }),
      { type: 'waited' },
      { ...checking, failures: 1, stuck: 1 },
      [],
    ],
    [
      'watches on from where it was when the server is that far',
      { ...checking, failures: 1, stuck: 1 },
      page('10', 'more'),
      { ...asked, failures: 1, stuck: 1 },
      [],
    ],
    [
      'does not watch a server that went back, which would say nothing',
      checking,
      page('9'),
      waiting({ seen: 10n, resume: 'list' }),
      ['failed'],
    ],
    [
      'asks again when the server does not answer',
      checking,
      { type: 'failed', error: error('KUBE_UNAVAILABLE') },
      waiting({ seen: 10n, resume: 'check' }),
      ['failed'],
    ],
  ];

  it.each(edges)('%s', (_, from, input, to, actions) => {
    const { state, actions: done } = transition(from, input);
    expect(state).toStrictEqual(to);
    expect(done.map((action) => action.do)).toStrictEqual(actions);
  });

  it('keeps counting failures over a list that succeeds, so that lists in a circle get rarer', () => {
    let state: ReflectorState = listing;
    for (const input of [
      page('10'),
      { type: 'failed', error: error('KUBE_GONE') },
      { type: 'waited' },
      page('10'),
      { type: 'failed', error: error('KUBE_GONE') },
    ] as const) {
      state = transition(state, input).state;
    }
    expect(state).toMatchObject({ at: 'waiting', failures: 2 });
  });

  it('says what to do where the server went back', () => {
    const { actions } = transition({ ...listing, seen: 11n }, page('10'));
    expect(actions).toEqual([
      {
        do: 'failed',
        error: expect.objectContaining({ what: expect.stringContaining('went back from version 11 to 10') }),
      },
    ]);
  });

  it('does not take what does not belong', () => {
    expect(() => transition(listing, { type: 'waited' })).toThrow(
      'a reflector that is listing cannot take waited',
    );
    expect(() => transition(asked, page('1'))).toThrow('cannot take page');
  });
});
