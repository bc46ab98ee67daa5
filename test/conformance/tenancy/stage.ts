import { createHash, randomBytes } from 'node:crypto';
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, type SignJWT } from 'jose';
import { GRPCInferenceServiceClient } from '../../../src/gen/inference/grpc_service.ts';
import { TestNode } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { DigestStage } from './digest-stage.ts';
import { policyOf } from './manifests.ts';

/** What a caller sees of an answer, whatever the protocol. */
export type Seen = {
  /** HTTP status; of gRPC, its number. */
  readonly status: number;
  /** Code of the error catalogue; '' for none. */
  readonly code: string;
  readonly text: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly ms: number;
};

export type HttpAsk = {
  readonly path?: string;
  readonly method?: string;
  /** Credential; undefined: none. */
  readonly key?: string | undefined;
  readonly model?: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
};

/** Credentials of the attacker, who is team-b, and of the victim, team-a. */
const credentialNames = [
  'victim',
  'app',
  'gateway',
  'urgent',
  'operations',
  'expired',
  'far',
  'elsewhere',
] as const;
export type CredentialName = (typeof credentialNames)[number];

const adapterOf = (namespace: string, name: string, path: string, more: object = {}): string =>
  `${JSON.stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'Adapter',
    metadata: { name, namespace },
    spec: { baseModel: 'tiny', source: { path: { path } }, ...more },
  })}\n---\n`;

export const issuer = 'https://issuer.team-b.example';
export const audience = 'adaptlet';

/**
 * A node with two namespaces that do not trust each other. team-a is the victim: an adapter that is resident and pinned, a
 * rollout, a route, answers. team-b attacks, with every credential that its policy has.
 */
export class Stage {
  readonly node: TestNode;
  readonly keys: Readonly<Record<CredentialName, string>>;
  /** Signs tokens that the policy of team-b trusts. */
  readonly signing: Parameters<SignJWT['sign']>[0];
  /** What anybody may know of the issuer's key. */
  readonly publicKey: string;
  readonly oip: GRPCInferenceServiceClient;
  #digests: Promise<DigestStage> | undefined;

  private constructor(node: TestNode, own: Pick<Stage, 'keys' | 'signing' | 'publicKey'>) {
    this.node = node;
    this.keys = own.keys;
    this.signing = own.signing;
    this.publicKey = own.publicKey;
    this.oip = new GRPCInferenceServiceClient(node.grpc, credentials.createInsecure());
  }

  static async start(): Promise<Stage> {
    const keys = Object.fromEntries(
      credentialNames.map((name) => [name, `adk_${randomBytes(32).toString('base64url')}`]),
    ) as Record<CredentialName, string>;
    const hash = (name: CredentialName) => ({
      name,
      sha256: createHash('sha256').update(keys[name]).digest('hex'),
    });
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' };
    const node = await TestNode.start({
      settings: { namespace: 'team-b', 'http-metrics': 'off', 'max-queue': '16' },
    });
    const manifests = [
      policyOf('team-a', {
        base: 'Deny',
        clients: { apiKeys: [hash('victim')] },
        limits: { requests: { guarantee: 2 }, adapterMemory: { guarantee: '16Mi' } },
      }),
      policyOf('team-b', {
        sources: { paths: ['adapters'] },
        limits: { adapters: 3, requests: { limit: 3 }, tokensPerMinute: 100_000 },
        clients: {
          apiKeys: [
            hash('app'),
            { ...hash('gateway'), rights: ['Users'] },
            { ...hash('urgent'), rights: ['Priority', 'Namespaces'] },
            { ...hash('operations'), rights: ['Lifecycle'] },
            { ...hash('expired'), expires: '2020-01-01T00:00:00Z' },
            { ...hash('far'), from: ['203.0.113.0/24'] },
          ],
          issuers: [
            {
              name: 'own',
              issuer,
              audiences: [audience],
              jwks: JSON.stringify({ keys: [jwk] }),
              subjects: ['robot'],
            },
          ],
        },
      }),
      // A namespace that this node is not for.
      policyOf('team-c', {
        clients: { anonymous: 'Allow', apiKeys: [hash('elsewhere')] },
        runtimes: { nodes: { matchLabels: { pool: 'other' } } },
      }),
      adapterOf('team-c', 'away', 'adapters/upper', { preload: { tier: 'Memory' } }),
      adapterOf('team-a', 'sauce', 'adapters/upper', { pinned: true, preload: { tier: 'Memory' } }),
      adapterOf('team-b', 'own', 'adapters/reverse', { preload: { tier: 'Memory' } }),
      // The same files as the other's: what is computed once for one of them must not be for both.
      adapterOf('team-b', 'copy', 'adapters/upper', { preload: { tier: 'Memory' } }),
      adapterOf('team-b', 'outside', 'variants/none'),
      `${JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind: 'AdapterRollout', metadata: { name: 'secret-rollout', namespace: 'team-a' }, spec: { adapter: 'sauce', strategy: { canary: { steps: [{ setWeight: 100 }] } } } })}\n---\n`,
      `${JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind: 'AdapterRoute', metadata: { name: 'secret-route', namespace: 'team-a' }, spec: { model: 'assistant', rules: [{ name: 'all', targets: [{ adapter: 'sauce' }] }] } })}\n---\n`,
      `${JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind: 'AdapterRoute', metadata: { name: 'personal', namespace: 'team-b' }, spec: { model: 'personal', rules: [{ name: 'users', perUser: { baseModel: 'tiny', source: { path: { path: 'adapters/{user}' } } } }] } })}\n---\n`,
    ];
    await node.write('all.yaml', manifests.join(''));
    const stage = new Stage(node, { keys, signing: privateKey, publicKey: JSON.stringify(jwk) });
    await waitFor('both namespaces to answer', async () => {
      const [a, b] = [
        await stage.http({ key: keys.victim, model: 'sauce', headers: { 'x-adaptlet-namespace': 'team-a' } }),
        await stage.http({ key: keys.app, model: 'own' }),
      ];
      return a.status === 200 && b.status === 200;
    });
    return stage;
  }

  /** A completion of four tokens, unless `body` or `path` say something else. */
  async http({
    path = '/v1/completions',
    method,
    key,
    model = 'own',
    body,
    headers = [],
  }: HttpAsk): Promise<Seen> {
    const own = new Headers(
      Array.isArray(headers) ? headers.map(([n, v]) => [n, v]) : (headers as Record<string, string>),
    );
    if (key !== undefined) own.set('authorization', `Bearer ${key}`);
    const sends = body !== undefined || path === '/v1/completions';
    if (sends) own.set('content-type', 'application/json');
    const started = performance.now();
    const response = await fetch(`${this.node.http}${path}`, {
      method: method ?? (sends ? 'POST' : 'GET'),
      headers: own,
      ...(sends ? { body: JSON.stringify(body ?? { model, prompt: 'hello', max_tokens: 4 }) } : {}),
    });
    const text = await response.text();
    return {
      status: response.status,
      code: response.headers.get('x-adaptlet-error') ?? '',
      text,
      headers: new Map(response.headers),
      ms: performance.now() - started,
    };
  }

  /** A call of the Open Inference Protocol. */
  grpc(
    method:
      | 'modelInfer'
      | 'modelMetadata'
      | 'modelReady'
      | 'repositoryIndex'
      | 'repositoryModelLoad'
      | 'repositoryModelUnload',
    request: object,
    {
      key,
      headers = {},
    }: Pick<HttpAsk, 'key'> & { readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Seen> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    if (key !== undefined) metadata.set('authorization', `Bearer ${key}`);
    const started = performance.now();
    return new Promise((resolve) => {
      const call = this.oip[method].bind(this.oip) as unknown as (
        request: object,
        metadata: Metadata,
        callback: (error: ServiceError | null, response: unknown) => void,
      ) => void;
      call(request, metadata, (error, response) =>
        resolve({
          status: error?.code ?? 0,
          code: error?.metadata?.get('x-adaptlet-error')[0]?.toString() ?? '',
          text: error?.details ?? JSON.stringify(response),
          headers: new Map(),
          ms: performance.now() - started,
        }),
      );
    });
  }

  /** A node with a registry, where team-b knows the digests of team-a; started when it is asked for first. */
  digests(): Promise<DigestStage> {
    this.#digests ??= DigestStage.start();
    return this.#digests;
  }

  /** The victim's own request, which must go on working. */
  victim(model = 'sauce'): Promise<Seen> {
    return this.http({ key: this.keys.victim, model, headers: { 'x-adaptlet-namespace': 'team-a' } });
  }

  async dispose(): Promise<void> {
    this.oip.close();
    await (await this.#digests)?.dispose();
    await this.node.dispose();
  }
}
