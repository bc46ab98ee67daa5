import { createHash, randomBytes } from 'node:crypto';
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, type SignJWT } from 'jose';
import { GRPCInferenceServiceClient } from '../../../src/gen/inference/grpc_service.ts';
import { waitFor } from '../../support/wait.ts';
import { DigestStage } from './digest-stage.ts';
import type { Place } from './probe.ts';

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

type Spec = Readonly<Record<string, unknown>>;
export type Manifest = {
  readonly apiVersion: 'adaptlet.io/v1alpha1';
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Spec;
};

export const manifestOf = (kind: string, namespace: string, name: string, spec: Spec): Manifest => ({
  apiVersion: 'adaptlet.io/v1alpha1',
  kind,
  metadata: { name, namespace },
  spec,
});

const adapterOf = (namespace: string, name: string, source: object, more: object = {}): Manifest =>
  manifestOf('Adapter', namespace, name, { baseModel: 'tiny', source, ...more });

export const issuer = 'https://issuer.team-b.example';
export const audience = 'adaptlet';

/** A namespace that no standalone node is for, as it has no labels. */
const away = (key: object, source: object): Manifest[] => [
  manifestOf('AdapterPolicy', 'team-c', 'default', {
    clients: { anonymous: 'Allow', apiKeys: [key] },
    runtimes: { nodes: { matchLabels: { pool: 'other' } } },
  }),
  adapterOf('team-c', 'away', source, { preload: { tier: 'Memory' } }),
];

/** A route that keeps sessions: what is about medicine goes to the copy. Both tenants have one, by the same names. */
const talk = (namespace: string, other: string): Manifest => {
  const rule = (name: string, adapter: string, more: object = {}) => ({
    name,
    targets: [{ adapter }],
    stickyDecision: {},
    ...more,
  });
  const medical = { matches: [{ headers: [{ name: 'x-topic', value: 'medical' }] }] };
  return manifestOf('AdapterRoute', namespace, 'talk', {
    model: 'talk',
    rules: [rule('medical', 'copy', medical), rule('everyone', other)],
  });
};

/** A node that both tenants use. */
export type Ground = {
  readonly place: Place;
  /** URL without a slash at the end. */
  readonly http: string;
  /** host:port */
  readonly grpc: string;
  /** Where adapters of the tiny model come from: those of team-a, those of team-b by their names and users, and others. */
  readonly sources: {
    /** `upper`. */
    readonly victim: object;
    readonly own: (name: string) => object;
    readonly users: object;
    /** What a policy has to say so that `own` and `users` are allowed, and no others. */
    readonly allowed: object;
    /** Not allowed to team-b. */
    readonly outside: object;
  };
  readonly apply: (manifests: readonly Manifest[]) => Promise<void>;
  /** State of an adapter on the node, by namespace/name. */
  readonly stateOf: (key: string) => Promise<string | undefined>;
};

/**
 * Two namespaces of a node that do not trust each other. team-a is the victim: an adapter that is resident and pinned, a
 * rollout, a route, answers. team-b attacks, with every credential that its policy has.
 */
export class Stage {
  readonly ground: Ground;
  readonly keys: Readonly<Record<CredentialName, string>>;
  /** Signs tokens that the policy of team-b trusts. */
  readonly signing: Parameters<SignJWT['sign']>[0];
  /** What anybody may know of the issuer's key. */
  readonly publicKey: string;
  readonly oip: GRPCInferenceServiceClient;
  #digests: Promise<DigestStage> | undefined;

  private constructor(ground: Ground, own: Pick<Stage, 'keys' | 'signing' | 'publicKey'>) {
    this.ground = ground;
    this.keys = own.keys;
    this.signing = own.signing;
    this.publicKey = own.publicKey;
    this.oip = new GRPCInferenceServiceClient(ground.grpc, credentials.createInsecure());
  }

  static async start(ground: Ground): Promise<Stage> {
    const keys = Object.fromEntries(
      credentialNames.map((name) => [name, `adk_${randomBytes(32).toString('base64url')}`]),
    ) as Record<CredentialName, string>;
    const hash = (name: CredentialName) => ({
      name,
      sha256: createHash('sha256').update(keys[name]).digest('hex'),
    });
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' };
    const { sources, place } = ground;
    await ground.apply([
      manifestOf('AdapterPolicy', 'team-a', 'default', {
        base: 'Deny',
        clients: { apiKeys: [{ ...hash('victim'), rights: ['Users'] }] },
        limits: { requests: { guarantee: 2 }, adapterMemory: { guarantee: '16Mi' } },
      }),
      manifestOf('AdapterPolicy', 'team-b', 'default', {
        sources: sources.allowed,
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
      ...(place === 'node' ? away(hash('elsewhere'), sources.victim) : []),
      adapterOf('team-a', 'sauce', sources.victim, { pinned: true, preload: { tier: 'Memory' } }),
      adapterOf('team-a', 'copy', sources.victim),
      adapterOf('team-b', 'own', sources.own('reverse'), { preload: { tier: 'Memory' } }),
      // The same files as the other's: what is computed once for one of them must not be for both.
      adapterOf('team-b', 'copy', sources.own('upper'), { preload: { tier: 'Memory' } }),
      adapterOf('team-b', 'outside', sources.outside),
      manifestOf('AdapterRollout', 'team-a', 'secret-rollout', {
        adapter: 'sauce',
        strategy: { canary: { steps: [{ setWeight: 100 }] } },
      }),
      manifestOf('AdapterRoute', 'team-a', 'secret-route', {
        model: 'assistant',
        rules: [{ name: 'all', targets: [{ adapter: 'sauce' }] }],
      }),
      talk('team-a', 'sauce'),
      talk('team-b', 'own'),
      manifestOf('AdapterRoute', 'team-b', 'personal', {
        model: 'personal',
        rules: [{ name: 'users', perUser: { baseModel: 'tiny', source: sources.users } }],
      }),
    ]);
    const stage = new Stage(ground, { keys, signing: privateKey, publicKey: JSON.stringify(jwk) });
    await waitFor(
      'both namespaces to answer',
      async () => {
        const all = [
          await stage.victim(),
          await stage.victim('rollout:secret-rollout'),
          await stage.victim('assistant'),
          await stage.http({ key: keys.app, model: 'own' }),
          await stage.http({ key: keys.app, model: 'copy' }),
          await stage.victim('copy'),
          await stage.victim('talk'),
          await stage.http({ key: keys.app, model: 'talk' }),
        ];
        return all.every(({ status }) => status === 200);
      },
      60_000,
    );
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
    const response = await fetch(`${this.ground.http}${path}`, {
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
  victim(model = 'sauce', headers: Readonly<Record<string, string>> = {}): Promise<Seen> {
    const all = { 'x-adaptlet-namespace': 'team-a', ...headers };
    return this.http({ key: this.keys.victim, model, headers: all });
  }

  async close(): Promise<void> {
    this.oip.close();
    await this.#digests?.then(
      (digests) => digests.dispose(),
      // What did not start is gone, and the probes that asked for it said why.
      () => undefined,
    );
  }
}
