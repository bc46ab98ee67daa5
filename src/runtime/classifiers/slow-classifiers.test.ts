import { describe, expect, it } from 'vitest';
import { classifierSchema } from '../../api/classifier.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { LabelScore } from '../routing/labelled.ts';
import { context, planOf, routeOf, rule } from '../routing/plan.fixture.ts';
import { promptTextOf, withPrompt } from '../routing/prompt-text.ts';
import { route } from '../routing/route.ts';
import { buildTable } from '../routing/table.ts';
import { decided } from '../serving/ask-ahead.ts';
import { dataPathOver, good } from '../serving/data-path.fixture.ts';
import { Classifiers, type ClassifiersParts } from './classifiers.ts';
import type { EncoderHead } from './encoder-heads.ts';

const digest = fakeDigest('c');
const never = new AbortController().signal;
const asks = (name: string) => ({ matches: [{ classifier: { name, labels: ['medical'] } }] });
const rules = [
  rule({ name: 'vip', matches: [{ user: { in: ['vip'] } }], targets: [{ base: true }] }),
  rule({ name: 'medical', ...asks('intent'), targets: [{ base: true }] }),
  rule({ name: 'second', ...asks('other'), targets: [{ base: true }] }),
  rule({ name: 'everyone', targets: [{ base: true }] }),
];
const classifier = (name: string, more: Record<string, unknown> = {}) =>
  classifierSchema.parse({
    name,
    minConfidence: 0.5,
    onnx: { source: { oci: { image: `r.io/${name}:v1` } }, digest },
    ...more,
  });

/** A node whose encoder answers as `score` says. */
const start = async (
  score: (text: string, signal: AbortSignal) => Promise<readonly LabelScore[]>,
  { hasEncoder = true, more = {} }: { hasEncoder?: boolean; more?: Record<string, unknown> } = {},
) => {
  const asked: string[] = [];
  const dropped: string[] = [];
  const opened: string[] = [];
  const host = {
    trouble: undefined as string | undefined,
    isClosed: false,
    lose: (() => undefined) as (head: EncoderHead, cause: unknown) => void,
    last: undefined as EncoderHead | undefined,
    changed: () => undefined as void,
    changes: 0,
  };
  const heads: NonNullable<ClassifiersParts['heads']> = {
    get trouble() {
      return host.trouble;
    },
    get isClosed() {
      return host.isClosed;
    },
    answers: { OK: 2 },
    onLost: (listener) => {
      host.lose = listener;
    },
    onState: (listener) => {
      host.changed = listener;
    },
    open: async ({ digest: of }) => {
      opened.push(of);
      host.last = { name: `${of}-${opened.length}`, digest: of, file: 'f', labels: ['medical'], bytes: 1 };
      return host.last;
    },
    drop: ({ digest: of }) => void dropped.push(of),
    scorerOf: () => ({
      labels: ['medical'],
      ask: async (text, { maxTokens, turn, signal }) => {
        asked.push(`${turn.namespace} ${turn.tenant} ${maxTokens} ${text}`);
        return await score(text, signal);
      },
    }),
  };
  const clock = new FakeClock();
  const classifiers = new Classifiers({
    artifacts: {
      fetch: async () => ({ digest, bytes: 1 }),
      verify: async () => undefined,
      checkSigned: async () => undefined,
      quarantine: async () => undefined,
      folder: () => 'folder',
    },
    clock,
    log: silentLog,
    random: () => 0,
    changed: () => {
      host.changes += 1;
    },
    ...(hasEncoder ? { heads } : {}),
  });
  const resource = routeOf('team-a/r', 'm', rules);
  const tableWith = (change: Record<string, unknown>) => {
    const both = [classifier('intent', change), classifier('other', change)];
    return buildTable(planOf({ ...resource, body: { ...resource.body, classifiers: both } }), {
      name: 'tiny',
    });
  };
  const table = tableWith(more);
  classifiers.follow(table);
  await classifiers.settled();
  const { classify, awaited } = classifiers;
  const facts = { serves: () => true, isHeld: () => false, classify, awaited };
  /** Routes as the data path does. */
  const routed = async (text: string, who: Parameters<typeof context>[1] = {}, signal = never) => {
    const asking = withPrompt(context('m', who), promptTextOf([{ kind: 'text', text }]));
    return await decided(
      () => route(table, asking, facts, 'id').candidates[0],
      () => awaited(asking, signal),
    );
  };
  return { classifiers, clock, table, tableWith, facts, asked, opened, dropped, host, routed };
};
const certain = async (): Promise<LabelScore[]> => [{ label: 'medical', score: 0.9 }];
const unsure = async (): Promise<LabelScore[]> => [{ label: 'medical', score: 0.1 }];

describe('a classifier that has to be waited for', () => {
  it('is asked once, with the namespace and the tokens that it looks at, and its label decides', async () => {
    const { routed, asked } = await start(certain);
    expect(await routed('hi', { tenant: 'acme' })).toMatchObject({
      rule: 'medical',
      classified: 'intent=medical;score=0.900;margin=0.900',
    });
    expect(asked).toEqual(['team-a acme 64 hi']);
  });

  it('is not asked where no rule needs it, and the next one only where the first does not decide', async () => {
    const first = await start(certain);
    expect(await first.routed('hi', { user: 'vip' })).toMatchObject({ rule: 'vip' });
    expect(first.asked).toEqual([]);
    const both = await start(unsure);
    expect(await both.routed('hi')).toMatchObject({ rule: 'everyone' });
    expect(both.asked).toHaveLength(2);
  });

  it('is uncertain when it gives no answer, and says why', async () => {
    const { routed } = await start(async () => {
      throw new AdaptletError('QUEUE_FULL', 'too many');
    });
    expect(await routed('hi')).toMatchObject({
      rule: 'everyone',
      classified: expect.stringContaining('intent=;score=0.000;margin=0.000;uncertain'),
    });
  });

  it('refuses what it is uncertain of, where it is to', async () => {
    const { routed } = await start(unsure, { more: { onUncertain: 'Refuse' } });
    expect(await routed('hi')).toMatchObject({ code: 'ROUTE_UNCERTAIN', rule: 'medical' });
  });

  it('ends with its caller', async () => {
    const leaving = new AbortController();
    const { routed } = await start(async (_, signal) => {
      leaving.abort(new AdaptletError('REQUEST_CANCELLED', 'left'));
      signal.throwIfAborted();
      return [];
    });
    await expect(routed('hi', {}, leaving.signal)).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
  });

  it('is certain for a session once it was, without another question', async () => {
    const { routed, asked } = await start(certain, { more: { cache: { by: 'Session' } } });
    for (let turn = 0; turn < 3; turn++)
      expect(await routed('hi', { session: 's' })).toMatchObject({ rule: 'medical' });
    expect(asked).toHaveLength(1);
  });

  it('is uncertain on a node without an encoder', async () => {
    const { classifiers, table, routed } = await start(certain, { hasEncoder: false });
    expect(await routed('hi')).toMatchObject({ rule: 'everyone' });
    const entry = table.namespaces.get('team-a')?.routes.get('m') ?? expect.fail('no route');
    const { doubt } = classifiers.classify(entry, 'intent', context('m'));
    expect(doubt).toBe('there is no encoder for classifiers here (--classifier-model)');
  });

  it('counts for nothing where another version of the classifier came while it was asked', async () => {
    const { classifiers, tableWith, asked, routed } = await start(async () => {
      if (asked.length === 1) classifiers.follow(tableWith({ minConfidence: 0.95 }));
      return await certain();
    });
    expect(await routed('hi')).toMatchObject({
      rule: 'everyone',
      classified:
        'intent=medical;score=0.900;margin=0.900;uncertain, other=medical;score=0.900;margin=0.900;uncertain',
    });
    expect(asked).toHaveLength(3);
  });

  it('is decided at once where no rule needs it', async () => {
    const { facts, table } = await start(certain);
    const vip = context('m', { user: 'vip' });
    const taken = decided(
      () => route(table, vip, facts, 'id').candidates[0]?.rule,
      () => facts.awaited(vip, never),
    );
    expect(taken).toBe('vip');
  });

  it('of which a request is only looked at keeps nothing for the session', async () => {
    const { classifiers, table, asked, routed } = await start(certain, {
      more: { cache: { by: 'Session' } },
    });
    const entry = table.namespaces.get('team-a')?.routes.get('m') ?? expect.fail('no route');
    const asking = withPrompt(context('m', { session: 's' }), promptTextOf([{ kind: 'text', text: 'hi' }]));
    const looked = await decided(
      () => classifiers.consider(entry, 'intent', asking),
      () => classifiers.awaited(asking, never),
    );
    expect(looked).toMatchObject({ label: 'medical', doubt: '' });
    await routed('hi', { session: 's' });
    expect(asked).toHaveLength(2);
  });

  it('that the encoder has lost is opened again, and says why it is not there', async () => {
    const { classifiers, clock, table, opened, host, routed } = await start(certain);
    const head = host.last ?? expect.fail('nothing was opened');
    host.lose(head, new AdaptletError('COMPILED_FILE_CORRUPT', 'crc32 differs'));
    const entry = table.namespaces.get('team-a')?.routes.get('m') ?? expect.fail('no route');
    const doubt = (): string => classifiers.classify(entry, 'intent', context('m')).doubt;
    expect(doubt()).toBe(
      'its artifact is not here: COMPILED_FILE_CORRUPT: crc32 differs. It is built again from the stored artifact; check the disk when this repeats',
    );
    host.trouble = 'the encoder for classifiers is down';
    expect(doubt()).toBe('the encoder for classifiers is down');
    clock.advance(1000);
    await expect.poll(() => opened.length).toBe(2);
    await expect.poll(async () => (await routed('hi'))?.rule).toBe('medical');
  });

  it('tells how far it is: of the digest of its artifact, and why it is not ready', async () => {
    const { classifiers, table, tableWith, host } = await start(certain);
    const told = () => {
      const [intent, other] = classifiers.states().get('team-a/r' as ObjectKey) ?? [];
      expect(other).toEqual({ ...intent, name: 'other' });
      return intent;
    };
    expect(told()).toEqual({ name: 'intent', digest, state: 'Ready', message: '' });
    expect(classifiers.totals()).toEqual({ answers: { OK: 2 }, states: { Pending: 0, Ready: 2, Failed: 0 } });
    const changes = host.changes;
    host.trouble = 'the encoder for classifiers is down';
    host.changed();
    expect(told()).toMatchObject({ state: 'Pending', message: host.trouble });
    host.trouble = 'the encoder for classifiers is closed';
    host.isClosed = true;
    expect(told()).toMatchObject({ state: 'Failed', message: host.trouble });
    Object.assign(host, { trouble: undefined, isClosed: false });
    const why = new AdaptletError('CLASSIFIER_MISSING', 'it has no head', { advice: 'Take another.' });
    host.lose(host.last ?? expect.fail('nothing was opened'), why);
    expect(told()).toMatchObject({
      state: 'Failed',
      message: 'its artifact is not here: CLASSIFIER_MISSING: it has no head. Take another',
    });
    expect(host.changes).toBeGreaterThan(changes + 1);
    const later = fakeDigest('d');
    classifiers.follow(tableWith({ onnx: { source: { oci: { image: 'r.io/x:v2' } }, digest: later } }));
    expect(told()).toMatchObject({ digest: later, state: 'Pending', message: 'its artifact is on its way' });
    await classifiers.settled();
    expect(told()).toMatchObject({ digest: later, state: 'Ready' });
    classifiers.follow(table);
    classifiers.follow(buildTable(planOf(), { name: 'tiny' }));
    expect(classifiers.states().size).toBe(0);
  });

  it('that no encoder can run here is failed', async () => {
    const { classifiers } = await start(certain, { hasEncoder: false });
    expect(classifiers.states().get('team-a/r' as ObjectKey)?.[0]).toMatchObject({
      state: 'Failed',
      message: 'there is no encoder for classifiers here (--classifier-model)',
    });
  });

  it('stays where it is when the node ends', async () => {
    const { classifiers, dropped } = await start(certain);
    classifiers.close();
    expect(dropped).toEqual([]);
  });

  it('leaves the encoder when no route has it any more', async () => {
    const { classifiers, dropped } = await start(certain);
    classifiers.follow(buildTable(planOf(), { name: 'tiny' }));
    expect(dropped).toEqual([digest]);
  });
});

describe('a request on the data path', () => {
  it('waits for the classifiers of its route before it is given to an adapter', async () => {
    const { facts, table, asked } = await start(certain);
    const made = dataPathOver(new Map(), { good });
    made.tables.now = table;
    const path = made.withFacts(facts);
    const answer = await path.generate(
      context('m', { headers: {} }),
      { ...made.request, prompt: { kind: 'text', text: 'my heart' } },
      never,
    );
    await Array.fromAsync(answer.events);
    expect(answer.served).toMatchObject({ rule: 'medical', arm: 'base' });
    expect(asked).toEqual(['team-a  64 my heart']);
  });
});
