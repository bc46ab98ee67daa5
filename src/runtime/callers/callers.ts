import { timingSafeEqual } from 'node:crypto';
import type { Right } from '../../api/policy.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { policyOf, type RoutingTable } from '../routing/table.ts';
import type { Caller, Grant, Identify, Presented } from './caller.ts';
import { credentialOf, digestOf } from './credential.ts';
import { Directories, type Directory, type KeyEntry } from './directory.ts';
import type { Gateways } from './gateway.ts';
import { type Match, Tokens } from './tokens.ts';

/** Whether callers need a credential where no policy says anything: `auto`: unless the listener is loopback. */
export type Anonymous = 'auto' | 'allow' | 'deny';

export type CallersParts = {
  /** The table of the plan in force. */
  readonly table: () => RoutingTable;
  readonly clock: Pick<Clock, 'now'>;
  /** It is later than the clock of the machine says. Absent: never. */
  readonly isClockBehind?: () => boolean;
  readonly log: Log;
  readonly anonymous: Anonymous;
  /** Namespace of requests that name none, of callers that no policy binds to one. */
  readonly defaultNamespace: string;
  /** Absent: no gateway is believed. */
  readonly gateways?: Gateways;
};

/** Rights of anonymous callers where nobody wrote a policy: whoever reaches the port is trusted. */
const openRights: ReadonlySet<Right> = new Set(['Users', 'Priority', 'Namespaces', 'Hints']);
const loopbackRights: ReadonlySet<Right> = new Set([...openRights, 'Lifecycle']);
/** Where a policy lets them in. */
const guestRights: ReadonlySet<Right> = new Set(['Users']);

/**
 * Who asks: from a key, a token or a certificate to what the caller may do, by the policies of the plan in force.
 *
 * Guarantees: a credential that was given and is wrong is refused, also where none is needed, unless no policy has any; neither an answer nor the time
 * that it takes depends on the names of a namespace that the caller may not ask for; wrong credentials leave nothing behind.
 */
export class Callers {
  readonly #parts: CallersParts;
  readonly #directories: Directories;
  readonly #tokens = new Tokens();

  constructor(parts: CallersParts) {
    this.#parts = parts;
    this.#directories = new Directories(parts.log);
  }

  /** For the requests of one listener. */
  on({ isLoopback }: { readonly isLoopback: boolean }): Identify {
    return async (presented) => {
      const caller = await this.#identify(presented, isLoopback);
      const { gateways } = this.#parts;
      return gateways?.isFrom(presented.address) === true ? { ...caller, gateway: gateways } : caller;
    };
  }

  async #identify({ headers, address, commonName }: Presented, isLoopback: boolean): Promise<Caller> {
    const table = this.#parts.table();
    const directory = this.#directories.of(table);
    // Clients of OpenAI always send a key. Where there is none to compare it with, it says nothing.
    if (directory.isEmpty) return this.#anonymous(table, isLoopback);
    const credential = credentialOf(headers);
    if (credential !== undefined) return this.#known(await this.#matches(directory, credential, address));
    if (commonName !== undefined) return this.#known(byCertificate(directory, commonName));
    return this.#anonymous(table, isLoopback);
  }

  async #matches(
    directory: Directory,
    credential: string,
    address: string | undefined,
  ): Promise<readonly Match[]> {
    const now = this.#parts.clock.now();
    const digest = digestOf(credential);
    const entries = directory.keys.get(digest.toString('hex'));
    if (entries !== undefined) return byKey(entries, digest, address, now);
    return await this.#tokens.matches(directory, credential, {
      now,
      isAtLeast: this.#parts.isClockBehind?.() === true,
    });
  }

  #anonymous(table: RoutingTable, isLoopback: boolean): Caller {
    const { anonymous, defaultNamespace } = this.#parts;
    const isOpen = anonymous === 'allow' || (anonymous === 'auto' && isLoopback);
    const open = isLoopback ? loopbackRights : openRights;
    return {
      home: defaultNamespace,
      grantIn(namespace) {
        const policy = policyOf(table, namespace);
        if (policy === undefined) return isOpen ? { caller: '', rights: open } : undefined;
        return policy.clients.anonymous === 'Allow' ? { caller: '', rights: guestRights } : undefined;
      },
      refusalIn: (namespace) =>
        new AdaptletError(
          'UNAUTHENTICATED',
          `the request has no credential, and the namespace ${quoteUntrusted(namespace)} takes no requests without one`,
        ),
    };
  }

  /** A credential may be in the policies of several namespaces: its caller may ask for the names of each. */
  #known(matches: readonly Match[]): Caller {
    const { defaultNamespace } = this.#parts;
    const [first] = matches;
    const atHome = matches.some(({ isDefault, namespace }) => isDefault || namespace === defaultNamespace);
    const home = atHome || first === undefined ? defaultNamespace : first.namespace;
    return {
      home,
      grantIn(namespace) {
        const own = matches.find((match) => !match.isDefault && match.namespace === namespace);
        const match =
          own ??
          matches.find(
            ({ isDefault, rights }) =>
              isDefault && (namespace === defaultNamespace || rights.has('Namespaces')),
          );
        return match === undefined ? undefined : grantOf(match);
      },
      refusalIn: (namespace) =>
        new AdaptletError(
          'FORBIDDEN',
          `the credential ${first?.namespace}/${first?.name} may not ask for names of the namespace ${quoteUntrusted(namespace)}`,
        ),
    };
  }
}

const grantOf = ({ namespace, name, rights, user, tenant }: Match): Grant => ({
  caller: `${namespace}/${name}`,
  rights,
  user,
  tenant,
});

/** @throws UNAUTHENTICATED when it is over, or comes from elsewhere */
const byKey = (
  entries: readonly KeyEntry[],
  digest: Buffer,
  address: string | undefined,
  now: number,
): readonly Match[] => {
  // A map finds by what is the same; what decides takes the same time whatever differs.
  const same = entries.filter((entry) => timingSafeEqual(entry.digest, digest));
  const valid = same.filter(({ expires }) => expires === undefined || now < expires);
  if (valid.length === 0) throw new AdaptletError('UNAUTHENTICATED', 'the key has expired');
  const here = valid.filter(({ isFrom }) => isFrom(address));
  if (here.length === 0) throw new AdaptletError('UNAUTHENTICATED', 'the key is not taken from this address');
  return here.map((entry) => ({ ...withOwnName(entry), user: entry.user ?? entry.name }));
};

/** @throws UNAUTHENTICATED */
const byCertificate = ({ certificates }: Directory, commonName: string): readonly Match[] => {
  const entries = certificates.get(commonName);
  if (entries === undefined) {
    throw new AdaptletError(
      'UNAUTHENTICATED',
      `no policy has the common name ${quoteUntrusted(commonName)} of the certificate`,
    );
  }
  return entries.map(withOwnName);
};

/** Without claims the credential is the user. */
const withOwnName = ({ namespace, isDefault, name, rights, tenant }: Omit<Match, 'user'>): Match => ({
  namespace,
  isDefault,
  name,
  rights,
  tenant,
  user: name,
});
