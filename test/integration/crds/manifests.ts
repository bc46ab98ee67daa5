/** Manifests as users write them, and what becomes of each. */

export type Fields = Readonly<Record<string, unknown>>;

/**
 * - Accepted: by the API server and by our parser.
 * - Refused: by both. `says` is a part of what kubectl prints.
 * - RefusedByParser: by our parser alone, which the operator and `adaptlet lint` use; `why` the server cannot.
 */
export type Verdict =
  | { readonly verdict: 'Accepted' }
  | { readonly verdict: 'Refused'; readonly says: string }
  | { readonly verdict: 'RefusedByParser'; readonly says: string; readonly why: string };

export type Row = Verdict & { readonly title: string; readonly text: string };

/** The text of an object of that kind, as JSON, which is YAML. */
export const manifest = (kind: string, spec: unknown, more: Fields = {}): string =>
  JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name: 'x' }, spec, ...more });

export const good = (title: string, text: string): Row => ({ title, text, verdict: 'Accepted' });
export const bad = (title: string, text: string, says: string): Row => ({
  title,
  text,
  verdict: 'Refused',
  says,
});
export const badForParser = (title: string, text: string, says: string, why: string): Row => ({
  title,
  text,
  verdict: 'RefusedByParser',
  says,
  why,
});

export const digest = `sha256:${'0'.repeat(64)}`;
export const otherDigest = `sha256:${'1'.repeat(64)}`;
