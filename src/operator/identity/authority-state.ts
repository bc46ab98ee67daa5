import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { authorityName, endOf, isPair, type KeyPair } from './certificate.ts';

/**
 * The certificate authority of the operator, as its Secret keeps it.
 *
 * A new authority is published, in the bundle that runtimes trust, for a while before it signs. The old one stays in
 * the bundle until the last certificate that it signed is over. So at every moment each certificate in use is trusted
 * by everyone, also by those who read the bundle late.
 */
export type AuthorityState = {
  /** Signs. */
  readonly current: KeyPair;
  /** Will sign. `published`: since when the bundle has it; wall time in milliseconds. */
  readonly next?: KeyPair & { readonly published?: number };
  /** Signed; trusted until then. */
  readonly former?: { readonly certificate: string; readonly until: number };
};

/** Milliseconds. */
export type Lifetimes = {
  /** Of an authority. */
  readonly authority: number;
  /** Before its end the next one is made. */
  readonly renewBefore: number;
  /** How long the next one is in the bundle before it signs. */
  readonly publish: number;
  /** Of the certificate of a replica. */
  readonly certificate: number;
  /** Of the request ports of a runtime, which may be away for most of it. */
  readonly serving: number;
  /** How much later than `publish` says another replica may still sign by the old one. */
  readonly lag: number;
};

const day = 86_400_000;
export const defaultLifetimes: Lifetimes = {
  authority: 365 * day,
  renewBefore: 90 * day,
  // A node that was away for less has it when it is back.
  publish: 60 * day,
  certificate: day,
  serving: 30 * day,
  lag: day,
};

/** What is due. */
export type Step = 'None' | 'Replace' | 'MakeNext' | 'Promote' | 'DropFormer';

export const stepOf = ({ current, next, former }: AuthorityState, times: Lifetimes, now: number): Step => {
  const over = now >= endOf(current.certificate);
  const nextIsOver = next !== undefined && now >= endOf(next.certificate);
  // The operator was away for so long that nothing is left to overlap with.
  if (over && (next === undefined || nextIsOver)) return 'Replace';
  if (over) return 'Promote';
  if (former !== undefined && now >= former.until) return 'DropFormer';
  if (next === undefined) {
    return now >= endOf(current.certificate) - times.renewBefore ? 'MakeNext' : 'None';
  }
  return next.published !== undefined && now >= next.published + times.publish ? 'Promote' : 'None';
};

/** The next one signs from now on. */
export const promoted = (
  { current, next }: AuthorityState,
  times: Lifetimes,
  now: number,
): AuthorityState => {
  if (next === undefined) throw new RangeError('there is no next authority');
  const longest = Math.max(times.certificate, times.serving);
  const until = Math.min(endOf(current.certificate), now + times.lag + longest);
  return {
    current: { certificate: next.certificate, key: next.key },
    former: { certificate: current.certificate, until },
  };
};

/** What runtimes and replicas trust, as PEM. */
export const bundleOf = ({ current, next, former }: AuthorityState): string =>
  [former, current, next].map((one) => one?.certificate ?? '').join('');

/** Name of the Secret and of the ConfigMap; runtimes mount the ConfigMap by it. */
export const secretName = 'adaptlet-ca';

/** The values of the Secret, not yet in base64. */
export const toSecret = ({ current, next, former }: AuthorityState): Record<string, string> => ({
  'current.crt': current.certificate,
  'current.key': current.key,
  ...(next === undefined ? {} : { 'next.crt': next.certificate, 'next.key': next.key }),
  ...(next?.published === undefined ? {} : { 'next.published': new Date(next.published).toISOString() }),
  ...(former === undefined
    ? {}
    : { 'former.crt': former.certificate, 'former.until': new Date(former.until).toISOString() }),
});

/** @throws AdaptletError AUTHORITY_INVALID */
export const fromSecret = (values: Readonly<Record<string, string>>): AuthorityState => {
  const published = timeIn(values, 'next.published');
  const next = values['next.crt'] === undefined ? undefined : pairIn(values, 'next');
  const former = values['former.crt'];
  return {
    current: pairIn(values, 'current'),
    ...(next === undefined ? {} : { next: published === undefined ? next : { ...next, published } }),
    ...(former === undefined
      ? {}
      : {
          former: {
            certificate: certificateIn(former, 'former.crt'),
            until: timeIn(values, 'former.until') ?? endOf(former),
          },
        }),
  };
};

const pairIn = (values: Readonly<Record<string, string>>, name: 'current' | 'next'): KeyPair => {
  const key = values[`${name}.key`] ?? '';
  const certificate = certificateIn(values[`${name}.crt`] ?? '', `${name}.crt`);
  try {
    if (isPair({ certificate, key })) return { certificate, key };
  } catch (error) {
    throw invalid(`${name}.key cannot be read`, error);
  }
  throw invalid(`${name}.key is not the key of ${name}.crt`);
};

const certificateIn = (certificate: string, name: string): string => {
  try {
    authorityName(certificate);
    return certificate;
  } catch (error) {
    throw invalid(`${name} cannot be used: ${error instanceof Error ? error.message : String(error)}`, error);
  }
};

const timeIn = (values: Readonly<Record<string, string>>, name: string): number | undefined => {
  const text = values[name];
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw invalid(`${name} is not a time`);
  return ms;
};

const invalid = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('AUTHORITY_INVALID', `Secret ${secretName}: ${what}`, { cause });
