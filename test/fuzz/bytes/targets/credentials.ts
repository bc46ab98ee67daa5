import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { fakeDigest } from '../../../../src/api/names.fixture.ts';
import { certificatePem, readToken, tokenText } from '../../../../src/control/enrolment.ts';
import { credentialOf } from '../../../../src/runtime/callers/credential.ts';
import { directoryOf } from '../../../../src/runtime/callers/directory.ts';
import { KeySet } from '../../../../src/runtime/callers/key-set.ts';
import { tableOf } from '../../../../src/runtime/callers/policies.fixture.ts';
import { Tokens } from '../../../../src/runtime/callers/tokens.ts';
import { readHeaders, requestContext } from '../../../../src/runtime/server/context.ts';
import { openIdentify } from '../../../../src/runtime/server/testing/identify.ts';
import { answerId, readAnswerId } from '../../../../src/runtime/serving/counts/answer-id.ts';
import { readToken as readSession, signToken } from '../../../../src/runtime/sessions/token.ts';
import { silentLog } from '../../../../src/telemetry/log.fixture.ts';
import { jsonTexts, texts } from '../examples.ts';
import { words } from '../mutators/bytes.ts';
import { json } from '../mutators/json.ts';
import { jwks, signedToken, token as tokenMutator } from '../mutators/token.ts';
import { must, type Target, textOf } from '../target.ts';

const issuer = 'https://keycloak.example/realms/team-a';
const now = Date.parse('2026-11-01T00:00:00Z');
const header = JSON.stringify({ alg: 'ES256', kid: 'a' });
const claims = (more: object = {}): string =>
  JSON.stringify({
    iss: issuer,
    aud: 'adaptlet',
    sub: 'anna',
    exp: now / 1000 + 300,
    iat: now / 1000,
    ...more,
  });
const goodToken = signedToken(header, claims());

const directory = directoryOf(
  tableOf({
    'team-a': {
      issuers: [
        { name: 'a', issuer, audiences: ['adaptlet'], jwks: JSON.stringify(jwks) },
        {
          name: 'b',
          issuer,
          audiences: ['other'],
          subjects: ['anna'],
          jwks: JSON.stringify(jwks),
          tenantClaim: 'org',
        },
      ],
    },
  }),
  silentLog,
);

const token: Target = {
  name: 'token',
  reads: 'src/runtime/callers/tokens.ts',
  examples: () =>
    texts(
      goodToken,
      signedToken(header, claims({ aud: ['x', 'other'], org: 'acme' })),
      signedToken('{"alg":"none"}', claims()),
    ),
  mutators: [tokenMutator],
  codes: ['UNAUTHENTICATED'],
  run: async (bytes) => {
    const matches = await new Tokens().matches(directory, Buffer.from(bytes).toString('latin1'), {
      now,
      isAtLeast: false,
    });
    must(matches.length > 0, 'nobody was found, and nothing was refused');
    for (const { user, tenant } of matches)
      must(
        typeof user === 'string' && (tenant === undefined || typeof tenant === 'string'),
        'a claim that is no text',
      );
    return `${matches.length}`;
  },
};

/** Whoever makes a set of keys leaves out one that throws, whatever it throws. */
const keySet: Target = {
  name: 'jwks',
  reads: 'src/runtime/callers/key-set.ts',
  examples: () =>
    jsonTexts(
      jwks,
      { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB', alg: 'RS256' }, ...jwks.keys] },
      { keys: [] },
    ),
  mutators: [json],
  codes: [],
  throws: (error) => error instanceof Error && !(error instanceof RangeError),
  run: async (bytes) => {
    await new KeySet(textOf(bytes)).verify(goodToken, issuer, now);
    return '';
  },
};

const enrolment: Target = {
  name: 'enrol-token',
  reads: 'src/control/enrolment.ts',
  examples: () =>
    texts(
      tokenText({
        address: '[::1]:9443',
        authority: Buffer.alloc(100, 1).toString('base64'),
        namespace: 'adaptlet-system',
        name: 'device-1',
        secret: 'a'.repeat(43),
      }),
    ),
  mutators: [
    (bytes, choices, other) => {
      const text = Buffer.from(bytes).toString('latin1');
      const dot = text.indexOf('.') + 1;
      const content = json(Buffer.from(text.slice(dot), 'base64url'), choices, other);
      return Buffer.from(text.slice(0, dot) + Buffer.from(content).toString('base64url'));
    },
  ],
  codes: ['CONFIG_INVALID'],
  run: (bytes) => {
    const read = readToken(textOf(bytes), 'x');
    must(isDeepStrictEqual(readToken(tokenText(read), 'x'), read), 'written again, it is another one');
    certificatePem(read.authority);
    return '';
  },
};

const identify = openIdentify();
const caller = await identify({ headers: new Map() });

/** Lines `name: value`, as they come to the data plane. */
const headers: Target = {
  name: 'headers',
  reads: 'src/runtime/server/context.ts, callers/credential.ts',
  examples: () =>
    texts(
      'x-adaptlet-namespace: team-a\nx-adaptlet-user: u42\nx-adaptlet-session: s\nx-adaptlet-priority: 3',
      'authorization: Bearer key\nx-api-key: key\nx-adaptlet-tenant: acme',
    ),
  mutators: [
    words([
      'x-adaptlet-namespace: ',
      'x-adaptlet-user: ',
      'x-adaptlet-priority: ',
      'x-adaptlet-tenant: ',
      'authorization: ',

      '\n',
      'Bearer ',
      '__proto__: x\n',
      'constructor: x\n',
      '-1',
      '1e9',
      ', ',
      '%00',
      'x'.repeat(8200),
      'É',
    ]),
  ],
  codes: ['REQUEST_INVALID', 'UNAUTHENTICATED', 'FORBIDDEN'],
  run: (bytes) => {
    const pairs = Buffer.from(bytes)
      .toString('latin1')
      .split('\n')
      .map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, Math.max(0, colon)), line.slice(colon + 1).trim()];
      });
    const read = readHeaders(pairs);
    credentialOf(read);
    const context = requestContext(read, { model: 'sql' }, caller);
    must(!context.headers.has('authorization'), 'a credential goes further');
    must(context.namespace.length <= 512, 'a namespace that is too long');
    return '';
  },
};

const feedbackKey = Buffer.alloc(32, 1);
const answered = {
  origin: '0123456789abcdef',
  rollout: 'fedcba9876543210',
  trial: '01234567',
  arm: 'canary',
  digest: fakeDigest('a'),
  number: 7,
} as const;

/** An id says what was signed, or nothing: whatever else reads as one was made up. */
const answerIds: Target = {
  name: 'answer-id',
  reads: 'src/runtime/serving/counts/answer-id.ts',
  examples: () =>
    texts(
      answerId({ ...answered, counted: { weight: 50, bucket: 63 } }, feedbackKey),
      answerId({ ...answered, arm: 'stable' }, feedbackKey),
    ),
  mutators: [words(['A', '-', '_', '=', 'chatcmpl-'])],
  codes: [],
  run: (bytes) => {
    const id = textOf(bytes);
    const read = readAnswerId(id, () => [feedbackKey]);
    if (read === undefined) return 'none';
    must(answerId(read, feedbackKey) === id, 'another text says the same');
    must(read.origin === answered.origin && read.number === answered.number, 'something else was signed');
    return read.arm;
  },
};

const sessionKey = Buffer.alloc(32, 1);
const asSession = (text: string) => readSession(text, 'whose', sessionKey.toString('base64url'));

/** As a text that nobody signed, and as what whoever has the key signed. */
const sessions: Target = {
  name: 'session-token',
  reads: 'src/runtime/sessions/token.ts',
  examples: () =>
    jsonTexts(
      { r: 'all', t: 'rollout:sql', a: 'canary', d: fakeDigest('a'), at: now },
      { r: 'all', t: 'base', at: now },
    ),
  mutators: [json],
  codes: [],
  run: (bytes) => {
    must(typeof asSession(textOf(bytes)) === 'string', 'nobody signed it');
    const body = Buffer.from(textOf(bytes)).toString('base64url');
    const mac = createHmac('sha256', sessionKey).update(`v1\nwhose\n${body}`).digest('base64url');
    const read = asSession(`v1.${body}.${mac}`);
    if (typeof read === 'string') return read;
    const again = asSession(signToken(read, 'whose', sessionKey.toString('base64url')));
    // As JSON: -0 is 0 there.
    must(JSON.stringify(again) === JSON.stringify(read), 'signed again, it says something else');
    return 'read';
  },
};

export const credentialTargets: readonly Target[] = [token, keySet, enrolment, answerIds, sessions, headers];
