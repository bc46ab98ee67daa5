import { decodeJwt, type JWTPayload } from 'jose';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { isIdentity } from '../routing/identity.ts';
import { digestOf } from './credential.ts';
import type { Directory, Entry, IssuerEntry } from './directory.ts';
import { leewaySeconds } from './key-set.ts';

/** Tokens that were verified and are remembered. */
export const maxRemembered = 1024;

/** A credential that was believed, and whom it stands for. */
export type Match = Entry & { readonly user: string };

/** `now`: wall time in milliseconds. `isAtLeast`: it may be later. */
type At = { readonly now: number; readonly isAtLeast: boolean };

type Verified = { readonly matches: readonly Match[]; readonly until: number };

const refused = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('UNAUTHENTICATED', what, cause === undefined ? {} : { cause });

/**
 * Verifies JSON Web Tokens by the keys that policies have, without asking their issuers. Which policies a token could be for
 * is read first, by issuer, audience and subject: one that is for none costs no signature.
 *
 * Guarantees: memory is bounded; a token is taken no longer than it says, and not after its policy changed.
 */
export class Tokens {
  /** The newest last. */
  readonly #verified = new Map<string, Verified>();
  #directory: Directory | undefined;

  /**
   * The policies that take a token, never none.
   * @throws UNAUTHENTICATED
   */
  async matches(directory: Directory, token: string, at: At): Promise<readonly Match[]> {
    if (directory !== this.#directory) {
      this.#directory = directory;
      this.#verified.clear();
    }
    const id = digestOf(token).toString('base64');
    const known = this.#verified.get(id);
    if (known !== undefined && at.now < known.until) return known.matches;
    const verified = await verify(directory, token, at);
    if (directory === this.#directory) this.#remember(id, verified);
    return verified.matches;
  }

  #remember(id: string, verified: Verified): void {
    this.#verified.delete(id);
    this.#verified.set(id, verified);
    const [oldest] = this.#verified.keys();
    if (this.#verified.size > maxRemembered && oldest !== undefined) this.#verified.delete(oldest);
  }
}

const verify = async (directory: Directory, token: string, at: At): Promise<Verified> => {
  const claims = read(token);
  const candidates = candidatesOf(directory, claims);
  const issuer = String(claims.iss);
  const matches: Match[] = [];
  let refusal: unknown;
  // By far most policies of one issuer have the same keys: a signature is verified once for each set of them.
  for (const [keys, entries] of Map.groupBy(candidates, (entry) => entry.keys)) {
    try {
      await keys.verify(token, issuer, timeFor(claims, at));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      refusal ??= refused(`the token was not believed: ${why}`, error);
      continue;
    }
    for (const entry of entries) {
      try {
        matches.push(matchOf(entry, claims));
      } catch (error) {
        refusal = error;
      }
    }
  }
  if (matches.length === 0) throw refusal;
  return { matches, until: (Number(claims.exp) + leewaySeconds) * 1000 };
};

/**
 * Where the clock is behind, a token that begins later says what time it is, if it is believed: its issuer made it before it came here. It must
 * not be over then.
 */
const timeFor = ({ iat, nbf }: JWTPayload, { now, isAtLeast }: At): number =>
  isAtLeast ? Math.max(now, msOf(iat), msOf(nbf)) : now;

/** A claim in seconds, as wall time; 0 for what is none: nothing of it was checked. */
const msOf = (claim: unknown): number => {
  const ms = typeof claim === 'number' ? claim * 1000 : Number.NaN;
  return Number.isNaN(new Date(ms).getTime()) ? 0 : ms;
};

/** What a token says of itself. Nothing is believed yet. */
const read = (token: string): JWTPayload => {
  try {
    return decodeJwt(token);
  } catch (error) {
    throw refused('the key is not known', error);
  }
};

/** @throws UNAUTHENTICATED that says what no policy takes */
const candidatesOf = ({ issuers }: Directory, { iss, aud, sub }: JWTPayload): readonly IssuerEntry[] => {
  const trusted = typeof iss === 'string' ? issuers.get(iss) : undefined;
  if (trusted === undefined) throw refused(`no policy takes tokens of the issuer ${quoted(iss)}`);
  // Nothing of it was checked: a list may hold what is no text, and has none.
  const audiences = [aud ?? []].flat().filter((audience) => typeof audience === 'string');
  const meant = trusted.filter((entry) => audiences.some((audience) => entry.audiences.has(audience)));
  if (meant.length === 0)
    throw refused(`the token is for ${quoted(audiences.join(' '))}, which is no audience here`);
  const taken = meant.filter(
    ({ subjects }) => subjects === undefined || (typeof sub === 'string' && subjects.has(sub)),
  );
  if (taken.length === 0) throw refused(`no policy takes tokens of the subject ${quoted(sub)}`);
  return taken;
};

const quoted = (value: unknown): string => quoteUntrusted(typeof value === 'string' ? value : 'none');

const matchOf = (entry: IssuerEntry, claims: JWTPayload): Match => {
  const { namespace, isDefault, name, rights, userClaim, tenantClaim } = entry;
  const tenant = tenantClaim === undefined ? entry.tenant : claimOf(claims, tenantClaim);
  return { namespace, isDefault, name, rights, tenant, user: claimOf(claims, userClaim) };
};

const claimOf = (claims: JWTPayload, name: string): string => {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (typeof value === 'string' && isIdentity(value)) return value;
  throw refused(`the claim ${name} of the token is not a text of 1 to 256 printable characters`);
};
