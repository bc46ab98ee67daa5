import { joinCapped } from '../../api/condition.ts';
import type { FieldProblem, Path } from '../../api/problems.ts';

/** Stands for an analysis that is not valid. No AdapterAnalysis of that name is ever asked for. */
const placeholder = 'not-valid.adaptlet.io';

/** The analysis that a path of a rollout leads into, as the path of the analysis itself. */
const analysisIn = (path: Path): Path | undefined => {
  if (path[0] !== 'spec' || path[1] !== 'strategy') return undefined;
  const at = path.findIndex(
    (part) => typeof part === 'string' && /^(analysis|p(re|ost)PromotionAnalysis)$/.test(part),
  );
  return at === -1 ? undefined : path.slice(0, at + 1);
};

/**
 * The spec of a rollout with references to nothing in place of the analyses that are not valid, and what is wrong with
 * them. Undefined: something else is not valid either.
 */
export const withoutInvalid = (
  spec: unknown,
  problems: readonly FieldProblem[],
): { readonly spec: unknown; readonly why: string } | undefined => {
  const places = problems.map(({ path }) => analysisIn(path));
  if (problems.length === 0 || places.includes(undefined)) return undefined;
  const rest = structuredClone(spec);
  for (const place of places) replaceAt(rest, place?.slice(1) ?? []);
  return {
    spec: rest,
    why: joinCapped(
      problems.map(({ reason }) => reason),
      10,
      '; ',
    ),
  };
};

/** Puts the placeholder at a path that leads to a value that is there. */
const replaceAt = (value: unknown, [key, ...below]: Path): void => {
  if (typeof value !== 'object' || value === null || key === undefined) return;
  if (below.length === 0) Reflect.set(value, key, { ref: placeholder });
  else replaceAt(Reflect.get(value, key), below);
};
