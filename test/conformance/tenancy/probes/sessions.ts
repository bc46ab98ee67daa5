import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Probe } from '../probe.ts';
import type { Seen, Stage } from '../stage.ts';

type Headers = Readonly<Record<string, string>>;

/** What goes to the copy, which a session then keeps. */
const medical = { 'x-topic': 'medical' };

const adapterOf = ({ status, text, headers }: Seen): string => {
  expect(status, text).toBe(200);
  return headers.get('x-adaptlet-adapter') ?? '';
};
const tokenOf = ({ headers }: Seen): string => {
  const token = headers.get('x-adaptlet-session-token') ?? '';
  expect(token).toMatch(/^v1\.[\w-]+\.[\w-]+$/);
  return token;
};
const withToken = (token: string): Headers => ({ 'x-adaptlet-session-token': token });

const own = (stage: Stage, headers: Headers, key = stage.keys.app): Promise<Seen> =>
  stage.http({ key, model: 'talk', headers });

/** A token that its route takes: what was first is kept. */
const keptToken = async (ask: (headers: Headers) => Promise<Seen>): Promise<string> => {
  const first = await ask(medical);
  expect(adapterOf(first)).toBe('copy');
  const token = tokenOf(first);
  expect(adapterOf(await ask(withToken(token)))).toBe('copy');
  return token;
};

const expected = 'its own decision, as without it';

/** Goes on with a session that is none of its own. */
export const sessions: readonly Probe[] = [
  {
    id: 'reach/moved-token',
    tries: "moves the session token of the other's answer to a route of its own with the same names",
    expected,
    run: async (stage) => {
      const theirs = await keptToken((headers) => stage.victim('talk', headers));
      for (const key of [stage.keys.app, stage.keys.gateway])
        expect(adapterOf(await own(stage, withToken(theirs), key))).toBe('own');
    },
  },
  {
    id: 'reach/forged-token',
    tries: 'changes its session token, signs one itself, takes that of another of its keys',
    expected,
    run: async (stage) => {
      const token = await keptToken((headers) => own(stage, headers));
      const [form, body = '', mac] = token.split('.');
      const said = JSON.parse(Buffer.from(body, 'base64url').toString()) as { readonly at: number };
      const later = Buffer.from(JSON.stringify({ ...said, at: said.at + 1 })).toString('base64url');
      const signed = randomBytes(32).toString('base64url');
      for (const forged of [`${form}.${later}.${mac}`, `${form}.${body}.${signed}`, `${form}.${body}.`])
        expect(adapterOf(await own(stage, withToken(forged)))).toBe('own');
      expect(adapterOf(await own(stage, withToken(token), stage.keys.operations))).toBe('own');
    },
  },
  {
    id: 'reach/session-name',
    tries: 'names the session and the user of the other, with the right Users',
    expected: "its own decision, and the other's session goes on as it was",
    run: async (stage) => {
      const named = (session: string) => ({ 'x-adaptlet-session': session, 'x-adaptlet-user': 'u1' });
      const theirs = (headers: Headers) => stage.victim('talk', { ...named('s1'), ...headers });
      const mine = (session: string, headers: Headers = {}) =>
        own(stage, { ...named(session), ...headers }, stage.keys.gateway);
      expect(adapterOf(await theirs(medical))).toBe('copy');
      expect(adapterOf(await mine('s1'))).toBe('own');
      expect(adapterOf(await theirs({}))).toBe('copy');
      // Sessions by their names are kept, for whom they are of.
      expect(adapterOf(await mine('s2', medical))).toBe('copy');
      expect(adapterOf(await mine('s2'))).toBe('copy');
    },
  },
];
