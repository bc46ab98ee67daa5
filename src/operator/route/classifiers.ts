import { cut, joinCapped, type Observed } from '../../api/condition.ts';
import type { Digest, ObjectKey } from '../../api/names.ts';
import type { RouteSpec } from '../../api/route.ts';
import type { ClassifierState } from '../fleet/fleet.ts';
import type { ConditionReason } from './reasons.ts';

/** A classifier that needs an artifact. */
export type WantedArtifact = { readonly name: string; readonly digest: Digest };

export const artifactsOf = ({ classifiers = [] }: Pick<RouteSpec, 'classifiers'>): WantedArtifact[] =>
  classifiers.flatMap(({ name, examples, onnx }) => {
    const digest = (onnx ?? examples)?.digest;
    return digest === undefined ? [] : [{ name, digest }];
  });

/** A runtime that routes by the route, and what it tells of its classifiers; undefined: its version does not tell. */
export type Classifying = {
  readonly key: ObjectKey;
  readonly classifiers: readonly ClassifierState[] | undefined;
};

type ClassifierCondition = Observed<'ClassifiersReady', ConditionReason>;

const maxNamed = 4;

/** Whether classifiers have their artifacts where the route is in force. Pure; undefined: none needs one. */
export const classifiersReady = (
  wanted: readonly WantedArtifact[],
  runtimes: readonly Classifying[],
): ClassifierCondition | undefined => {
  if (wanted.length === 0) return undefined;
  const type = 'ClassifiersReady';
  const told = runtimes.flatMap(({ key, classifiers }) =>
    classifiers === undefined ? [] : { key, classifiers },
  );
  const lacking = wanted.flatMap(({ name, digest }) => {
    const without = told.flatMap(({ key, classifiers }) => {
      const state = classifiers.find((one) => one.name === name && one.digest === digest);
      return state?.state === 'Ready'
        ? []
        : { key, isFailed: state?.state === 'Failed', why: state?.message };
    });
    const [example] = without.toSorted((a, b) => Number(b.isFailed) - Number(a.isFailed));
    if (example === undefined) return [];
    const why = `${example.key}: ${cut(example.why || 'it has not told of it yet', 600)}`;
    const what = `classifier ${name} (${digest}) is not ready on ${without.length} of ${told.length} runtimes; ${why}`;
    return { what, isFailed: example.isFailed };
  });
  if (lacking.length > 0) {
    const reason = lacking.some(({ isFailed }) => isFailed) ? 'ClassifierFailed' : 'ClassifierPending';
    return {
      type,
      status: 'False',
      reason,
      message: joinCapped(
        lacking.map(({ what }) => what),
        maxNamed,
        '; ',
      ),
    };
  }
  const [silent] = runtimes.filter(({ classifiers }) => classifiers === undefined);
  if (silent !== undefined || told.length === 0) {
    const message = silent === undefined ? 'no runtime routes by it yet' : `${silent.key} does not tell`;
    return { type, status: 'Unknown', reason: 'NotTold', message };
  }
  const all = joinCapped(
    wanted.map(({ name, digest }) => `${name} ${digest}`),
    maxNamed,
  );
  return { type, status: 'True', reason: 'ClassifiersReady', message: `on ${told.length} runtimes: ${all}` };
};
