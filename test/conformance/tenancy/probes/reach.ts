import { createHash } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { onNode, type Probe, type ProbeId, refused } from '../probe.ts';
import { audience, issuer, type Stage } from '../stage.ts';

const victims = { 'x-adaptlet-namespace': 'team-a' };
const inferSauce = {
  modelName: 'sauce',
  modelVersion: '',
  id: '',
  parameters: {},
  inputs: [],
  outputs: [],
  rawInputContents: [],
};

type Claims = { readonly iss?: string; readonly aud?: string; readonly sub?: string; readonly ttl?: string };

const token = (
  stage: Stage,
  { iss = issuer, aud = audience, sub = 'robot', ttl = '1h' }: Claims = {},
): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setIssuer(iss)
    .setAudience(aud)
    .setSubject(sub)
    .setIssuedAt()
    .setExpirationTime(ttl)
    .sign(stage.signing);

const withToken = (id: ProbeId, tries: string, make: (stage: Stage) => Promise<string>): Probe =>
  refused(id, tries, 'UNAUTHENTICATED', async (stage) => stage.http({ key: await make(stage) }));

/** Gets at another namespace, or in without a credential. */
export const reach: readonly Probe[] = [
  refused('reach/no-credential', 'asks without a credential', 'UNAUTHENTICATED', (s) => s.http({})),
  refused('reach/no-credential-grpc', 'asks without a credential over gRPC', 'UNAUTHENTICATED', (s) =>
    s.grpc('modelInfer', { ...inferSauce, modelName: 'own' }),
  ),
  refused('reach/made-up-key', 'asks with a made-up key', 'UNAUTHENTICATED', (s) =>
    s.http({ key: 'adk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }),
  ),
  refused(
    'reach/hash-as-key',
    'sends the hash of a key, which its policy shows, in place of the key',
    'UNAUTHENTICATED',
    (s) => {
      return s.http({ key: createHash('sha256').update(s.keys.victim).digest('hex') });
    },
  ),
  onNode(
    refused(
      'reach/key-of-other-nodes',
      'uses a key of a namespace whose policy leaves out this node',
      'UNAUTHENTICATED',
      (s) => s.http({ key: s.keys.elsewhere, model: 'tiny' }),
    ),
  ),
  onNode(
    refused(
      'reach/anonymous-of-other-nodes',
      'asks there without a credential, which the policy allows on other nodes',
      'UNAUTHENTICATED',
      (s) => s.http({ model: 'away', headers: { 'x-adaptlet-namespace': 'team-c' } }),
    ),
  ),
  refused('reach/expired-key', 'uses a key that has expired', 'UNAUTHENTICATED', (s) =>
    s.http({ key: s.keys.expired }),
  ),
  refused(
    'reach/key-from-elsewhere',
    'uses a key from another address than it is for',
    'UNAUTHENTICATED',
    (s) => s.http({ key: s.keys.far }),
  ),
  refused('reach/forwarded-for', 'claims the right address by X-Forwarded-For', 'UNAUTHENTICATED', (s) =>
    s.http({
      key: s.keys.far,
      headers: { 'x-forwarded-for': '203.0.113.7', forwarded: 'for=203.0.113.7', 'x-real-ip': '203.0.113.7' },
    }),
  ),
  refused('reach/basic', 'uses the scheme Basic', 'UNAUTHENTICATED', (s) =>
    s.http({ headers: { authorization: `Basic ${Buffer.from(`a:${s.keys.app}`).toString('base64')}` } }),
  ),
  refused('reach/two-credentials', 'sends two credentials that differ', 'UNAUTHENTICATED', (s) =>
    s.http({ key: s.keys.app, headers: { 'x-api-key': s.keys.urgent } }),
  ),
  refused('reach/header', 'names the other namespace in a header', 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, model: 'sauce', headers: victims }),
  ),
  refused('reach/header-grpc', 'names the other namespace in a header of gRPC', 'FORBIDDEN', (s) =>
    s.grpc('modelInfer', inferSauce, { key: s.keys.app, headers: victims }),
  ),
  refused('reach/qualified', 'asks for namespace/name', 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, model: 'team-a/sauce' }),
  ),
  refused('reach/qualified-grpc', 'asks for namespace/name over gRPC', 'FORBIDDEN', (s) =>
    s.grpc('modelInfer', { ...inferSauce, modelName: 'team-a/sauce' }, { key: s.keys.app }),
  ),
  refused('reach/rollout', "asks for the other's rollout", 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, model: 'team-a/rollout:secret-rollout' }),
  ),
  refused('reach/route', "asks for the other's route", 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, model: 'team-a/assistant' }),
  ),
  refused('reach/plain-name', 'asks for the adapter by its plain name', 'MODEL_NOT_FOUND', (s) =>
    s.http({ key: s.keys.app, model: 'sauce' }),
  ),
  refused(
    'reach/right-namespaces',
    'asks with the right Namespaces, which only the default policy can give',
    'FORBIDDEN',
    (s) => s.http({ key: s.keys.urgent, model: 'team-a/sauce' }),
  ),
  refused(
    'reach/repeated-header',
    'repeats the header of the namespace',
    ['FORBIDDEN', 'REQUEST_INVALID'],
    (s) =>
      s.http({
        key: s.keys.app,
        model: 'sauce',
        headers: [
          ['x-adaptlet-namespace', 'team-b'],
          ['x-adaptlet-namespace', 'team-a'],
        ],
      }),
  ),
  refused(
    'reach/capitals',
    'writes the namespace in capitals',
    ['FORBIDDEN', 'MODEL_NOT_FOUND', 'REQUEST_INVALID'],
    (s) => s.http({ key: s.keys.app, model: 'Team-A/sauce' }),
  ),
  refused('reach/climb', 'climbs up in the name', ['FORBIDDEN', 'MODEL_NOT_FOUND', 'REQUEST_INVALID'], (s) =>
    s.http({ key: s.keys.app, model: '../team-a/sauce' }),
  ),
  refused(
    'reach/behind-own',
    'hides the namespace behind its own',
    ['FORBIDDEN', 'MODEL_NOT_FOUND', 'REQUEST_INVALID'],
    (s) => s.http({ key: s.keys.app, model: 'team-b/team-a/sauce' }),
  ),
  refused(
    'reach/encoded-slash',
    'encodes the slash',
    ['FORBIDDEN', 'MODEL_NOT_FOUND', 'REQUEST_INVALID'],
    (s) => s.http({ key: s.keys.app, model: 'team-a%2Fsauce' }),
  ),
  refused('reach/base', 'asks the base model in the name of the other namespace', 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, model: 'team-a/tiny' }),
  ),
  withToken('reach/unsigned-token', 'has a token without a signature', () =>
    Promise.resolve(
      new UnsecuredJWT({})
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject('robot')
        .setExpirationTime('1h')
        .encode(),
    ),
  ),
  withToken('reach/hmac-token', 'signs a token with the public key as a secret', (s) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject('robot')
      .setExpirationTime('1h')
      .sign(Buffer.from(s.publicKey)),
  ),
  withToken('reach/other-audience', 'has a token for another audience', (s) => token(s, { aud: 'another' })),
  withToken('reach/other-issuer', 'has a token of another issuer', (s) =>
    token(s, { iss: 'https://other.example' }),
  ),
  withToken('reach/old-token', 'has a token that is over', (s) => token(s, { ttl: '-1h' })),
  withToken('reach/other-subject', 'has a token of a subject that is not listed', (s) =>
    token(s, { sub: 'somebody' }),
  ),
  withToken('reach/changed-claims', 'changes the claims of a token', async (s) => {
    const [head, , signature] = (await token(s, { sub: 'somebody' })).split('.');
    const claims = { iss: issuer, aud: audience, sub: 'robot', exp: Math.floor(Date.now() / 1000) + 3600 };
    return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
  }),
  refused(
    'reach/own-token',
    'uses a token of its own issuer for the other namespace',
    'FORBIDDEN',
    async (s) => s.http({ key: await token(s), model: 'team-a/sauce' }),
  ),
];
