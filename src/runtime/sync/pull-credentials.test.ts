import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { Authorization } from '../../artifact/authorizations.ts';
import { parseReference } from '../../artifact/reference.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { Credential, type CredentialRequest } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { PullCredentials } from './pull-credentials.ts';

const image = 'r.example/team-a/sql:v1';
const source = { image, pullSecretRef: { name: 'login' } };
const key = objectKey('team-a', 'sql');
const never = new AbortController().signal;

const start = ({ follows = true } = {}) => {
  const clock = new FakeClock();
  const pulls = new PullCredentials(clock);
  const sent: CredentialRequest[] = [];
  const state = { connected: true };
  if (follows)
    pulls.through((request) => {
      if (state.connected) sent.push(request);
      return state.connected;
    });
  const authorize = (isRefused = false, signal = never): Promise<Authorization> => {
    const login = pulls.loginFor(key, source);
    if (login === undefined) throw new Error('there is no login');
    const get = () => Promise.reject(new Error('a node asks no token service'));
    return login.authorize({ reference: parseReference(image), challenge: null, isRefused, get, signal });
  };
  const answer = (id: bigint, more: Partial<Credential>) =>
    pulls.answered({ ...Credential.create(), id, ...more });
  return { clock, pulls, sent, state, authorize, answer };
};

describe('a node that needs a pull credential', () => {
  it('asks the operator, and is given one for a time', async () => {
    const { authorize, sent, answer } = start();
    const [first, second] = [authorize(), authorize(true)];
    expect(sent).toEqual([
      { id: 1n, key, image, secret: 'login', refused: false },
      { id: 2n, key, image, secret: 'login', refused: true },
    ]);
    answer(2n, { authorization: 'Bearer b', lifetimeMs: 10n ** 12n });
    answer(1n, { authorization: 'Bearer a', lifetimeMs: 1000n });
    answer(1n, { authorization: 'Bearer late', lifetimeMs: 1000n });
    answer(9n, { authorization: 'Bearer unasked', lifetimeMs: 1000n });
    expect(await first).toEqual({ header: 'Bearer a', lifetimeMs: 1000 });
    expect(await second).toEqual({ header: 'Bearer b', lifetimeMs: 600_000 });
  });

  it('has one name for a Secret, which is that of no other namespace', () => {
    const { pulls } = start();
    expect(pulls.loginFor(key, source)?.name).toBe('team-a/login');
    expect(pulls.loginFor(objectKey('team-b', 'sql'), source)?.name).toBe('team-b/login');
    expect(pulls.loginFor(key, { image })).toBeUndefined();
  });

  it('asks for a source that is no registry in the same way, without what its address has of a password', async () => {
    const { pulls, sent, answer } = start();
    const ref = { name: 'files', key: 'header' };
    const url = 'https://files.example/a.tar?signature=secret';
    const header = { name: 'X-Token', secretKeyRef: ref };
    const http = pulls.credentialFor(key, { http: { url, sha256: '0'.repeat(64), header } });
    const huggingFace = { repo: 'a/b', revision: 'c'.repeat(40), tokenSecretKeyRef: ref };
    const hub = pulls.credentialFor(key, { huggingFace });
    expect([http?.name, hub?.name]).toEqual(['X-Token', 'Authorization']);
    expect(
      pulls.credentialFor(key, { huggingFace: { ...huggingFace, tokenSecretKeyRef: undefined } }),
    ).toBeUndefined();
    const values = Promise.all([http, hub].map(async (one, at) => await one?.value(at === 1, never)));
    expect(sent).toEqual([
      { id: 1n, key, image: 'https://files.example/a.tar', secret: 'files', refused: false },
      { id: 2n, key, image: 'hf://a/b', secret: 'files', refused: true },
    ]);
    answer(1n, { authorization: 'word', lifetimeMs: 5n });
    answer(2n, { authorization: 'Bearer t', lifetimeMs: 5n });
    expect(await values).toMatchObject([{ header: 'word' }, { header: 'Bearer t' }]);
  });

  const waits = 'adapter team-a/sql waits for a pull credential of Secret team-a/login: ';
  it.each<[string, (at: ReturnType<typeof start>) => void, string]>([
    [
      'gives none',
      ({ answer }) => answer(1n, { reason: 'there is no Secret', advice: 'Make it.' }),
      'there is no Secret. Make it.',
    ],
    [
      'says that none is needed',
      ({ answer }) => answer(1n, {}),
      'the registry asks this node for a login, and not the operator',
    ],
    ['goes away', ({ pulls }) => pulls.broken(), 'the operator cannot be reached now. Nothing to do here'],
    ['says nothing', ({ clock }) => clock.advance(20_000), 'the operator did not answer within 20 s'],
  ])('waits where the operator %s', async (_, happens, says) => {
    const at = start();
    const asked = at.authorize();
    happens(at);
    await expect(asked).rejects.toThrow(waits + says);
    await expect(asked).rejects.toMatchObject({ code: 'PULL_CREDENTIAL_AWAITED', retry: 'Backoff' });
  });

  it('waits where the registry refuses what the operator gave', () => {
    const explained = start()
      .pulls.loginFor(key, source)
      ?.explained?.(new AdaptletError('REGISTRY_DENIED', 'r.example/team-a/sql: it forbids access'));
    expect(explained?.message).toBe(
      `${waits}r.example/team-a/sql: it forbids access. Check that what is in Secret team-a/login may read the source. It is tried again by itself.`,
    );
    expect(explained?.retry).toBe('Backoff');
  });

  it('waits where there is no stream', async () => {
    const at = start();
    at.state.connected = false;
    await expect(at.authorize()).rejects.toThrow(`${waits}the operator cannot be reached now`);
    expect(at.sent).toEqual([]);
  });

  it('stops to ask when the fetch is given up', async () => {
    const { authorize, answer } = start();
    const stop = new AbortController();
    const asked = authorize(false, stop.signal);
    stop.abort(new Error('not wanted any more'));
    await expect(asked).rejects.toThrow('not wanted any more');
    answer(1n, { authorization: 'Bearer a', lifetimeMs: 1000n });
  });

  it('without an operator is told what to do instead', async () => {
    const asked = start({ follows: false }).authorize();
    await expect(asked).rejects.toThrow(
      /no operator to read it\. Take the reference to the Secret out .* --registry-config/,
    );
    await expect(asked).rejects.toMatchObject({ code: 'PULL_SECRET', retry: 'AfterChange' });
  });
});
