import { cut, joinCapped, type Observed } from '../../api/condition.ts';
import type { Digest } from '../../api/names.ts';
import type { RouteSpec } from '../../api/route.ts';
import type { ClassifierState } from '../fleet/fleet.ts';
import type { RuntimeSet } from '../reconcile/presence.ts';
import { firstOf, sizeOf } from '../reconcile/runtime-sets.ts';
import type { ConditionReason } from './reasons.ts';

/** A classifier that needs an artifact. */
export type WantedArtifact = { readonly name: string; readonly digest: Digest };

export const artifactsOf = ({ classifiers = [] }: Pick<RouteSpec, 'classifiers'>): WantedArtifact[] =>
  classifiers.flatMap(({ name, examples, onnx }) => {
    const digest = (onnx ?? examples)?.digest;
    return digest === undefined ? [] : [{ name, digest }];
  });

/** Runtimes that route by the route, and what they tell of its classifiers; undefined: their version does not tell. */
export type Classifying = {
  readonly runtimes: RuntimeSet;
  readonly classifiers: readonly ClassifierState[] | undefined;
};

type ClassifierCondition = Observed<'ClassifiersReady', ConditionReason>;

const maxNamed = 4;

/** Whether classifiers have their artifacts where the route is in force. Pure; undefined: none needs one. */
export const classifiersReady = (
  wanted: readonly WantedArtifact[],
  groups: readonly Classifying[],
): ClassifierCondition | undefined => {
  if (wanted.length === 0) return undefined;
  const type = 'ClassifiersReady';
  const told = groups.flatMap(({ runtimes, classifiers }) =>
    classifiers === undefined ? [] : { runtimes, classifiers },
  );
  const lacking = wanted.flatMap(({ name, digest }) => {
    const without = told.flatMap(({ runtimes, classifiers }) => {
      const state = classifiers.find((one) => one.name === name && one.digest === digest);
      return state?.state === 'Ready'
        ? []
        : { runtimes, isFailed: state?.state === 'Failed', why: state?.message };
    });
    const example = firstOf(without.filter(({ isFailed }) => isFailed)) ?? firstOf(without);
    if (example === undefined) return [];
    const { isFailed, why } = example.group;
    const quoted = `${example.key}: ${cut(why || 'it has not told of it yet', 600)}`;
    const what = `classifier ${name} (${digest}) is not ready on ${sizeOf(without)} of ${sizeOf(told)} runtimes; ${quoted}`;
    return { what, isFailed };
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
  const silent = firstOf(groups.filter(({ classifiers }) => classifiers === undefined));
  if (silent !== undefined || told.length === 0) {
    const message = silent === undefined ? 'no runtime routes by it yet' : `${silent.key} does not tell`;
    return { type, status: 'Unknown', reason: 'NotTold', message };
  }
  const all = joinCapped(
    wanted.map(({ name, digest }) => `${name} ${digest}`),
    maxNamed,
  );
  return { type, status: 'True', reason: 'ClassifiersReady', message: `on ${sizeOf(told)} runtimes: ${all}` };
};
