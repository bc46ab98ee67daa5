import { readFileSync } from 'node:fs';
import type { Agent, RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { KubeConfig } from './kube-config.ts';

/** Options of an HTTP request that authenticate it. */
export type Credentials = Readonly<
  Pick<
    RequestOptions,
    'headers' | 'auth' | 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'
  >
> & {
  /** Where the kubeconfig names a proxy, the way through it. */
  readonly proxy?: Agent;
};

/** Milliseconds for which what was read is used: tokens and certificates rotate on the disk. */
const freshMs = 5000;
/** Milliseconds after which the files are read anew. */
const reloadMs = 60_000;

const refused = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('KUBE_UNAUTHORIZED', what, cause === undefined ? {} : { cause });

/** The library does not know `tokenFile` of users, which may be relative to the kubeconfig. */
class Config extends KubeConfig {
  override loadFromFile(...[file, options]: Parameters<KubeConfig['loadFromFile']>): void {
    super.loadFromFile(file, options);
    const { users } = parse(readFileSync(file, 'utf8')) as { readonly users?: readonly NamedUser[] | null };
    for (const { name, user } of users ?? []) {
      if (user?.tokenFile === undefined) continue;
      const token = readFileSync(resolve(dirname(file), user.tokenFile), 'utf8').trim();
      this.users = this.users.map((known) => (known.name === name ? { ...known, token } : known));
    }
  }
}

type NamedUser = { readonly name: string; readonly user?: { readonly tokenFile?: string } | null };

/**
 * Finds the cluster: the file that is named, else $KUBECONFIG, ~/.kube/config, the ServiceAccount of the pod.
 * @throws AdaptletError KUBE_UNAUTHORIZED
 */
const load = (
  file: string | undefined,
  context: string | undefined,
): { readonly config: KubeConfig; readonly server: string } => {
  const config = new Config();
  const where = file ?? 'the default kubeconfig';
  try {
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
  } catch (error) {
    throw refused(
      `${where} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw refused(`${where} has no context ${context}`);
    config.setCurrentContext(context);
  }
  // The library falls back to a cluster on localhost of its own making.
  if (config.currentContext === 'loaded-context')
    throw refused('no kubeconfig and no ServiceAccount was found');
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || !URL.canParse(server)) {
    throw refused(`${where} has no current context with the URL of a server`);
  }
  return { config, server };
};

const apply = async (config: KubeConfig): Promise<Credentials> => {
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    throw refused(
      `the credentials cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  const { agent, ...rest } = options;
  // Without a proxy the connections are ours.
  return config.getCurrentCluster()?.proxyUrl === undefined ? rest : { ...rest, proxy: agent as Agent };
};

/** Plug-ins keep what they fetched in the loaded configuration; loading it anew runs them again. */
const isPlugIn = (config: KubeConfig): boolean => {
  const user = config.getCurrentUser();
  const provider: unknown = user?.authProvider;
  const inFile = typeof provider === 'object' && provider !== null && 'name' in provider;
  return Boolean(user?.exec) || (inFile && provider.name !== 'tokenFile');
};

/** The credentials of one server. */
export class CredentialSource {
  readonly server: string;
  /** Of the context; `default` where it names none. */
  readonly namespace: string;
  readonly #file: string | undefined;
  readonly #context: string | undefined;
  readonly #clock: Clock;
  readonly #logger: Log;
  #config: KubeConfig;
  #loadedAt: number;
  #applied: { readonly at: number; readonly credentials: Promise<Credentials> } | undefined;

  /** @throws AdaptletError KUBE_UNAUTHORIZED when no cluster is found */
  constructor(file: string | undefined, context: string | undefined, clock: Clock, logger: Log) {
    this.#file = file;
    this.#context = context;
    this.#clock = clock;
    this.#logger = logger;
    const { config, server } = load(file, context);
    this.server = server;
    this.namespace = config.getContextObject(config.currentContext)?.namespace ?? 'default';
    this.#config = config;
    this.#loadedAt = clock.monotonic();
  }

  /**
   * What authenticates a request now; at most some seconds behind the disk.
   * @throws AdaptletError KUBE_UNAUTHORIZED
   */
  current(): Promise<Credentials> {
    const now = this.#clock.monotonic();
    if (now - this.#loadedAt >= reloadMs && !isPlugIn(this.#config)) {
      this.#loadedAt = now;
      try {
        this.#reload();
      } catch (error) {
        // What was read before may still be valid; if not, the server says so and `renewed` fails.
        this.#logger.warn({ err: error }, 'credentials could not be read anew');
      }
    }
    if (this.#applied === undefined || now - this.#applied.at >= freshMs) return this.#apply(now);
    return this.#applied.credentials;
  }

  /**
   * Credentials read anew after the server refused `refusedOnes`; once for all requests that had them.
   * @throws AdaptletError KUBE_UNAUTHORIZED
   */
  renewed(refusedOnes: Promise<Credentials>): Promise<Credentials> {
    if (this.#applied !== undefined && this.#applied.credentials !== refusedOnes) {
      return this.#applied.credentials;
    }
    this.#reload();
    return this.#apply(this.#clock.monotonic());
  }

  #reload(): void {
    const { config, server } = load(this.#file, this.#context);
    if (server !== this.server)
      throw refused(`the kubeconfig now names ${server}, which is not ${this.server}`);
    this.#config = config;
    this.#loadedAt = this.#clock.monotonic();
    this.#applied = undefined;
  }

  #apply(at: number): Promise<Credentials> {
    const credentials = apply(this.#config);
    const applied = { at, credentials };
    this.#applied = applied;
    // A failure is not kept: the next request tries again. It is thrown to those who wait for it.
    credentials.catch(() => {
      if (this.#applied === applied) this.#applied = undefined;
    });
    return credentials;
  }
}
