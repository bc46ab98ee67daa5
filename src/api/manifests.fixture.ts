import { expect } from 'vitest';
import { parseManifests } from './parse.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** The text of an object of that kind, as JSON. */
export const document = (kind: string, spec: unknown, more: Fields = {}): string =>
  JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name: 'x' }, spec, ...more });

/** A manifest, and the messages that it gets; none when it is good. */
export type Row = readonly [what: string, text: string, ...messages: string[]];

/** Fails unless the manifest gets exactly these messages. */
export const expectMessages = (text: string, messages: readonly string[]): void => {
  const { problems, documents } = parseManifests(text, 'a.yaml', { defaultNamespace: 'default' });
  expect(problems.map((problem) => problem.reason).toSorted()).toEqual(messages.toSorted());
  expect(documents).toHaveLength(messages.length === 0 ? 1 : 0);
};
