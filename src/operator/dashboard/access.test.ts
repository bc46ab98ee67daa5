import type { IncomingMessage } from 'node:http';
import { beforeEach, describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeRequest } from '../../kube/client/api.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Viewers } from './access.ts';

type Spec = Readonly<Record<string, unknown>> & {
  readonly token?: string;
  readonly audiences?: readonly string[];
  readonly resourceAttributes?: { readonly resource: string; readonly namespace?: string };
};

/** Tokens by the audience that they are for; '' is the API server. */
const tokens: Readonly<Record<string, { readonly audience: string; readonly username: string }>> = {
  'of-anna': { audience: '', username: 'anna' },
  'of-ben': { audience: 'adaptlet-dashboard', username: 'ben' },
  'of-a-runtime': {
    audience: 'adaptlet',
    username: 'system:serviceaccount:adaptlet-system:adaptlet-runtime',
  },
};

let api: FakeApi;
let clock: FakeClock;
let viewers: Viewers;
/** Who may list what: `user namespace kind`, `*` for all namespaces. */
let rights: Set<string>;
const asked: { readonly path: string; readonly spec: Spec }[] = [];

beforeEach(() => {
  asked.length = 0;
  api = new FakeApi();
  clock = new FakeClock();
  rights = new Set();
  api.before = ({ path, body }: KubeRequest) => {
    const { spec } = body as { spec: Spec };
    asked.push({ path, spec });
    if (path.endsWith('/tokenreviews')) {
      const known = tokens[spec.token ?? ''];
      const audience = spec.audiences?.[0] ?? '';
      if (known === undefined || known.audience !== audience) return { status: { authenticated: false } };
      const user = { username: known.username, uid: 'u', groups: ['g'], extra: { scopes: ['s'] } };
      return { status: { authenticated: true, audiences: spec.audiences, user } };
    }
    const { resource, namespace = '*' } = spec.resourceAttributes ?? { resource: '' };
    return { status: { allowed: rights.has(`${String(spec['user'])} ${namespace} ${resource}`) } };
  };
  viewers = new Viewers({ api, clock });
});

const look = async (token: string | undefined, namespace?: string) => {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return [...(await viewers.access({ headers } as IncomingMessage, namespace))];
};
const refusal = (token: string | undefined, namespace?: string) =>
  look(token, namespace).then(
    () => 'none',
    (error: unknown) => (error as AdaptletError).code,
  );

describe('who looks', () => {
  it.each([
    ['no token', undefined],
    ['a wrong one', 'of-nobody'],
    ['the token of a runtime, which is for the stream alone', 'of-a-runtime'],
  ])('with %s is nobody', async (_, token) => {
    rights.add(`${tokens['of-a-runtime']?.username} * adapters`);
    expect(await refusal(token)).toBe('VIEWER_UNKNOWN');
    expect(asked.filter(({ path }) => path.includes('subjectaccessreviews'))).toEqual([]);
  });

  it('may have a token for the API server, or one for the dashboard alone', async () => {
    rights.add('anna * adapters').add('ben * adapters');
    expect(await look('of-anna')).toEqual(['adapters']);
    expect(await look('of-ben')).toEqual(['adapters']);
  });

  it('is asked about by all that the API server said of them', async () => {
    rights.add('anna * adapters');
    await look('of-anna');
    expect(asked.at(-1)?.spec).toMatchObject({
      user: 'anna',
      uid: 'u',
      groups: ['g'],
      extra: { scopes: ['s'] },
      resourceAttributes: { group: 'adaptlet.io', verb: 'list' },
    });
  });
});

describe('what they may see', () => {
  it('is what they may list: in all namespaces, or in the one that they name', async () => {
    rights.add('anna team-a adapters').add('anna team-a adapterrollouts');
    expect(await look('of-anna', 'team-a')).toEqual(['adapters', 'adapterrollouts']);
    expect(await refusal('of-anna', 'team-b')).toBe('VIEWER_FORBIDDEN');
    expect(await refusal('of-anna')).toBe('VIEWER_FORBIDDEN');
  });

  it('is asked anew after half a minute, and not before', async () => {
    rights.add('anna * adapters');
    await look('of-anna');
    rights.clear();
    clock.advance(29_000);
    expect(await look('of-anna')).toEqual(['adapters']);
    clock.advance(1_001);
    expect(await refusal('of-anna')).toBe('VIEWER_FORBIDDEN');
  });

  it('is asked once for those who ask at the same time', async () => {
    rights.add('anna * adapters');
    await Promise.all([look('of-anna'), look('of-anna'), look('of-anna')]);
    // Two reviews of the token, and three of what it may list.
    expect(asked).toHaveLength(5);
  });

  it('is nothing while the API server does not say, and that is not remembered', async () => {
    const { before } = api;
    api.before = () => {
      throw new AdaptletError('KUBE_UNAVAILABLE', 'away');
    };
    expect(await refusal('of-anna')).toBe('KUBE_UNAVAILABLE');
    api.before = before;
    rights.add('anna * adapters');
    expect(await look('of-anna')).toEqual(['adapters']);
  });

  it('is not asked of the API server any number of times at once', async () => {
    const codes = await Promise.all(Array.from({ length: 100 }, (_, i) => refusal(`guess-${i}`)));
    expect(codes.filter((code) => code === 'VIEWER_UNKNOWN')).toHaveLength(32);
    expect(codes.filter((code) => code === 'REPLICA_UNAVAILABLE')).toHaveLength(68);
  });
});
