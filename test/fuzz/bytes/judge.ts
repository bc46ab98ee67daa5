import { AdaptletError } from '../../../src/errors/adaptlet-error.ts';
import { Broken, type Target } from './target.ts';

/** What came of one execution. `mark`: of two alike one is enough to keep. */
export type Verdict =
  | { readonly kind: 'accepted' | 'refused'; readonly mark: string }
  | { readonly kind: 'found'; readonly mark: string; readonly what: string };

/** An error without what depends on the input: numbers and quoted text. */
const shape = (text: string): string =>
  text
    .slice(0, 600)
    .replaceAll(/"(?:[^"\\]|\\.)*"?/g, '""')
    .replaceAll(/\d+/g, '0')
    .slice(0, 120);

/** The frames of this project, which tell failures apart better than messages. */
const placeOf = (error: Error): string =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => /\/(src|test)\//.test(line))
    .slice(0, 2)
    .map((line) => line.replace(/^.*\/(src|test)\//, '$1/').replace(/\)$/, ''))
    .join(' < ');

export const judged = (target: Target, error: unknown): Verdict => {
  if (error instanceof Broken)
    return { kind: 'found', mark: `broken: ${shape(error.message)}`, what: error.message };
  if (error instanceof AdaptletError && target.codes.includes(error.code))
    return { kind: 'refused', mark: `${error.code} ${shape(error.what)}` };
  if (target.throws?.(error) === true)
    return {
      kind: 'refused',
      mark: error instanceof Error ? `${error.name} ${shape(error.message).slice(0, 20)}` : 'thrown',
    };
  if (!(error instanceof Error)) return { kind: 'found', mark: 'no error', what: `throws ${typeof error}` };
  const code = error instanceof AdaptletError ? `${error.code} ` : '';
  const where = placeOf(error);
  return {
    kind: 'found',
    mark: `${code}${error.name} ${where}`,
    what: `${code}${error.name}: ${error.message.slice(0, 300)} (${where})`,
  };
};

const accepted = (word: string): Verdict => ({ kind: 'accepted', mark: word });

/** Runs a target once. Where it is synchronous nothing is awaited. */
export const execute = (target: Target, bytes: Uint8Array): Verdict | Promise<Verdict> => {
  try {
    const read = target.run(bytes);
    if (typeof read === 'string') return accepted(read);
    return read.then(accepted, (error: unknown) => judged(target, error));
  } catch (error) {
    return judged(target, error);
  }
};
