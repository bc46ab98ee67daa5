import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { Hello, Peers, ServingCertificate } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Connection, type Peer } from './connection.ts';
import { MemoryOperator, settle } from './testing/memory-operator.ts';

const make = ({ random = () => 0 }: { random?: () => number } = {}) => {
  const clock = new FakeClock();
  const operator = new MemoryOperator();
  const told: string[] = [];
  const trusted = new Set(['cluster-1']);
  let subscriptions: string[] = [];
  const peer: Peer = {
    hello: async () => {
      told.push('hello');
      return Hello.fromPartial({ protocol: 1, subscriptions });
    },
    welcome: ({ clusterUid }) => {
      if (!trusted.has(clusterUid)) throw new AdaptletError('CLUSTER_UNTRUSTED', clusterUid);
      told.push('welcome');
    },
    put: ({ key }) => void told.push(`put ${key}`),
    remove: (key) => void told.push(`remove ${key}`),
    commit: async ({ nonce }) => ({ nonce, refused: [] }),
    unknown: (names) => void told.push(`unknown ${names.join()}`),
    credential: ({ id }) => void told.push(`credential ${id}`),
    peers: ({ id }) => void told.push(`peers ${id}`),
    servingCertificate: ({ id }) => void told.push(`serving ${id}`),
    feedbackKeys: ({ keys }) => void told.push(`keys ${keys.length}`),
    broken: () => void told.push('broken'),
    held: () => ({ held: [{ key: 'Split a/b', version: 'v' }], sameParts: [] }),
    subscribe: () => ({ names: subscriptions }),
    report: () => undefined,
  };
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const connection = new Connection({ dial: operator.dial, peer, clock, logger, random });
  connection.start();
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return {
    operator,
    told,
    trusted,
    connection,
    lines,
    advance,
    subscribe: (...names: string[]) => {
      subscriptions = names;
      connection.subscribe();
    },
  };
};

describe('a connection', () => {
  it('says Hello, is connected with the Welcome, and answers commits', async () => {
    const { operator, connection, told } = make();
    await settle();
    expect(connection.state.kind).toBe('connecting');
    operator.last.welcome();
    expect(connection.state).toMatchObject({ kind: 'connected', replica: 'replica-1', lastError: '' });
    operator.last.commit();
    await settle();
    expect(operator.last.requests.map(({ message }) => message?.$case)).toEqual(['hello', 'ack']);
    expect(told).toEqual(['hello', 'welcome']);
  });

  it('dials again after 0.2 s, then twice as long each time, up to 30 s', async () => {
    const { operator, advance } = make();
    operator.refuse = new Error('no route');
    await settle();
    const at: number[] = [];
    for (let ms = 0, last = operator.dialled; ms < 120_000; ms += 100) {
      await advance(100);
      if (operator.dialled > last) at.push(ms + 100);
      last = operator.dialled;
    }
    expect(at.slice(0, 9)).toEqual([200, 600, 1400, 3000, 6200, 12_600, 25_400, 51_000, 81_000]);
  });

  it('begins with the short pause again after a stream that lived', async () => {
    const { operator, advance } = make();
    operator.refuse = new Error('no route');
    for (let i = 0; i < 10; i++) await advance(30_000);
    operator.refuse = undefined;
    await advance(30_000);
    operator.last.welcome();
    await advance(10_000);
    const dialled = operator.dialled;
    operator.last.end();
    await advance(200);
    expect(operator.dialled).toBe(dialled + 1);
  });

  it('comes again at any time within the pause, so that a fleet that lost its operator does not come at once', async () => {
    const times: number[] = [];
    for (const part of [0.01, 0.25, 0.5, 0.99]) {
      const { operator, advance } = make({ random: () => part });
      await settle();
      operator.last.end();
      for (let ms = 1; operator.dialled < 2; ms++) {
        await advance(1);
        times.push(...(operator.dialled < 2 ? [] : [ms]));
      }
    }
    expect(times).toEqual([198, 150, 100, 2]);
  });

  it('dials anew at once after a stream that lived and was ended in order, and says nothing of it', async () => {
    const { operator, connection, told, lines, advance } = make();
    await settle();
    operator.last.welcome();
    await advance(10_000);
    operator.last.end({ why: 'the operator ended the stream', isClean: true });
    await settle();
    expect(operator.dialled).toBe(2);
    operator.last.welcome();
    expect(connection.state).toMatchObject({ kind: 'connected', lastError: '' });
    expect(told).toEqual(['hello', 'welcome', 'broken', 'hello', 'welcome']);
    expect(lines).toEqual([]);
  });

  it('takes an end in order that comes at once for a failure', async () => {
    const { operator, advance } = make();
    await settle();
    for (let ms = 0; ms < 60_000; ms += 100) {
      if (operator.last.requests.length === 1) {
        operator.last.welcome();
        operator.last.end({ isClean: true });
      }
      await advance(100);
    }
    expect(operator.dialled).toBeLessThan(12);
  });

  it('comes when the operator said, up to twice as late, as often as it is told so', async () => {
    const { operator, connection, advance } = make({ random: () => 0.5 });
    await settle();
    for (let time = 1; time <= 50; time++) {
      operator.last.end({ why: 'UNAVAILABLE: many runtimes connect', retryAfterMs: 4000 });
      await advance(5999);
      expect(operator.dialled).toBe(time);
      await advance(1);
      expect(operator.dialled).toBe(time + 1);
    }
    operator.last.end({ retryAfterMs: 1e12 });
    await advance(90_000);
    operator.last.welcome();
    expect(connection.state.kind).toBe('connected');
  });

  it('does not dial faster and faster at an operator that welcomes and hangs up', async () => {
    const { operator, advance } = make();
    await settle();
    for (let ms = 0; ms < 60_000; ms += 100) {
      const stream = operator.last;
      if (!stream.cancelled && stream.requests.length === 1) {
        stream.welcome();
        stream.end();
      }
      await advance(100);
    }
    expect(operator.dialled).toBeLessThan(12);
  });

  it('gives up an operator that takes the connection and says nothing', async () => {
    const { operator, connection, advance } = make();
    await settle();
    await advance(20_000);
    expect(operator.last.cancelled).toBe(true);
    expect(connection.state).toMatchObject({
      kind: 'waiting',
      lastError: expect.stringContaining('said nothing'),
    });
  });

  it('tells of the end of a stream before the next begins, and nothing of it afterwards', async () => {
    const { operator, told, advance } = make();
    await settle();
    const first = operator.last;
    first.welcome();
    first.remove('Split a/b');
    first.end();
    await advance(200);
    first.remove('Split a/late');
    first.end();
    expect(told).toEqual(['hello', 'welcome', 'remove Split a/b', 'broken', 'hello']);
  });

  it.each([
    ['a commit before the Welcome', (o: MemoryOperator) => o.last.commit()],
    [
      'a second Welcome',
      (o: MemoryOperator) => {
        o.last.welcome();
        o.last.welcome();
      },
    ],
  ])('ends a stream that makes no sense: %s', async (_, send) => {
    const { operator, connection } = make();
    await settle();
    send(operator);
    expect(operator.last.cancelled).toBe(true);
    expect(connection.state.kind).toBe('waiting');
  });

  it('asks a cluster that it does not trust seldom, logs that once, and at once when it may', async () => {
    const { operator, connection, advance, lines, trusted } = make();
    await settle();
    for (let minute = 0; minute < 5; minute++) {
      operator.last.welcome('cluster-2');
      expect(connection.state).toMatchObject({
        kind: 'untrusted',
        lastError: expect.stringContaining('trust-cluster'),
      });
      await advance(60_000);
    }
    expect(operator.dialled).toBe(6);
    expect(lines).toHaveLength(1);
    operator.last.welcome('cluster-2');
    trusted.add('cluster-2');
    connection.restart('trusted');
    await settle();
    operator.last.welcome('cluster-2');
    expect(connection.state.kind).toBe('connected');
  });

  it('sends names that were asked for between the Hello and the Welcome', async () => {
    const { operator, subscribe } = make();
    await settle();
    subscribe('team-a/sql');
    expect(operator.last.requests).toHaveLength(1);
    operator.last.welcome();
    expect(operator.last.subscribed).toEqual([['team-a/sql']]);
  });

  it('is silent after it was closed', async () => {
    const { operator, connection, told, advance } = make();
    await settle();
    operator.last.welcome();
    connection.close();
    await advance(120_000);
    expect(operator.dialled).toBe(1);
    expect(operator.last.cancelled).toBe(true);
    expect(told).toEqual(['hello', 'welcome', 'broken']);
  });
});

describe('a question', () => {
  const request = { id: 1n, key: 'team-a/sql', image: 'r/a:v1', secret: 'login', refused: false };
  const answer = { id: 1n, authorization: 'Bearer a', lifetimeMs: 1n, reason: '', advice: '' };

  it('goes out on a stream that is connected, and on no other; its answer is told', async () => {
    const { operator, connection, told } = make();
    await settle();
    const question = { $case: 'credential', value: request } as const;
    expect(connection.ask(question)).toBe(false);
    operator.last.welcome();
    expect(connection.ask(question)).toBe(true);
    expect(operator.last.requests.at(-1)?.message).toEqual({ $case: 'credential', value: request });
    operator.last.send({ $case: 'credential', value: answer });
    expect(told.at(-1)).toBe('credential 1');
    operator.last.send({ $case: 'peers', value: Peers.fromPartial({ id: 2n }) });
    expect(told.at(-1)).toBe('peers 2');
    operator.last.send({ $case: 'servingCertificate', value: ServingCertificate.fromPartial({ id: 3n }) });
    expect(told.at(-1)).toBe('serving 3');
    operator.last.end();
    expect(connection.ask(question)).toBe(false);
  });
});
