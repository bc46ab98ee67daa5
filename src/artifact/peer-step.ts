import type { PeerWord } from './peer-site.ts';

/** What was heard of a runtime. */
export type Heard = PeerWord & {
  readonly name: string;
  /** Milliseconds since it got on, or changed its state. */
  readonly quietMs: number;
  /** Milliseconds in this state. */
  readonly sinceMs: number;
  /** Milliseconds since it was first waited for because it goes first. */
  readonly waitedMs: number;
};

/** Milliseconds. */
export type Patience = {
  /** Without 64 KiB more, after which who fetches counts as stuck. */
  readonly stallMs: number;
  /** For which somebody is waited for who goes first and has not begun. */
  readonly wantedMs: number;
  /** After which a second one fetches beside the first. */
  readonly aloneMs: number;
};

export type Step =
  /** From one of these. */
  | { readonly do: 'take'; readonly from: readonly string[] }
  /** For one of these. */
  | { readonly do: 'wait'; readonly on: readonly string[] }
  /** From the source. */
  | { readonly do: 'fetch' };

/**
 * What a node that wants a blob does next. `ahead`: those who go before it; `askers`: those who asked it since it began to ask.
 * At most two fetch at a time, as long as they are heard and get on.
 */
export const stepOf = (
  heard: readonly Heard[],
  ahead: ReadonlySet<string>,
  askers: ReadonlySet<string>,
  { stallMs, wantedMs, aloneMs }: Patience,
): Step => {
  const here = heard.filter(({ state }) => state === 'here');
  if (here.length > 0) return { do: 'take', from: names(here) };
  const coming = heard.filter(({ state, quietMs }) => state === 'coming' && quietMs < stallMs);
  const isPatient = coming.some(({ sinceMs }) => sinceMs < aloneMs);
  if (coming.length > 1 || isPatient) return { do: 'wait', on: names(coming) };
  // Who asked meanwhile may have begun to want it after it was asked itself.
  const first = heard.filter(
    ({ name, state, waitedMs }) =>
      ahead.has(name) &&
      (state === 'wanted' || (state === 'none' && askers.has(name))) &&
      waitedMs < wantedMs,
  );
  return first.length > 0 ? { do: 'wait', on: names(first) } : { do: 'fetch' };
};

const names = (heard: readonly Heard[]): readonly string[] => heard.map(({ name }) => name);
