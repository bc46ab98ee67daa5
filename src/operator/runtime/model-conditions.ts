import { type Condition, conditionOf, type Observed } from '../../api/condition.ts';
import type { ModelProgress, RuntimeState } from '../fleet/fleet.ts';
import type { ModelVerdict } from '../fleet/model-census.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

type ModelCondition = Observed<ConditionType, ConditionReason>;

const reasons: ReadonlyMap<string, ConditionReason> = new Map([
  ['Resolving', 'Resolving'],
  ['Downloading', 'Downloading'],
  ['Waiting', 'FetchFailed'],
  ['Loading', 'Loading'],
  ['Ready', 'Loaded'],
]);

/**
 * What is said of the base model of a connected runtime: nothing of one whose version does not tell. While it is too early
 * to compare it with others, what was said before stays.
 */
export const modelConditions = (
  state: RuntimeState,
  verdict: ModelVerdict | undefined,
  before: readonly Condition[] | undefined,
): ModelCondition[] => [
  ...(state.model === undefined ? [] : [modelReady(state.model)]),
  ...(verdict === undefined ? formerMatch(before) : modelMatches(state, verdict)),
];

const modelReady = ({ state, message }: ModelProgress): ModelCondition => ({
  type: 'ModelReady',
  status: state === 'Ready' ? 'True' : 'False',
  reason: reasons.get(state) ?? 'Loading',
  message: message || 'it is loaded',
});

const formerMatch = (before: readonly Condition[] | undefined): ModelCondition[] => {
  const former = conditionOf(before, 'ModelMatches');
  if (former === undefined) return [];
  const { status, message } = former;
  return [{ type: 'ModelMatches', status, reason: former.reason as ConditionReason, message }];
};

const named = (digest: string, manifest: string): string =>
  manifest === '' ? `files ${digest}` : `files ${digest}, manifest ${manifest}`;

const modelMatches = ({ info, model }: RuntimeState, verdict: ModelVerdict): ModelCondition[] => {
  const type = 'ModelMatches';
  const own = named(info.baseDigest, model?.manifestDigest ?? '');
  switch (verdict.kind) {
    case 'Unknown':
      return [];
    case 'Same':
      return [
        { type, status: 'True', reason: 'SameModel', message: 'it has the build that most runtimes have' },
      ];
    case 'Other': {
      const theirs = named(verdict.digest, verdict.manifest);
      const message = `its ${info.baseModel} is another one (${own}) than the one that most runtimes have (${theirs}); start it with theirs, for example --model oci://…@DIGEST, or with another --model-name`;
      return [{ type, status: 'False', reason: 'OtherModel', message }];
    }
    case 'Divided': {
      const message = `runtimes have ${verdict.builds} builds of ${info.baseModel}, none of them on more than the others; this one has ${own}; start all of them with one build, for example --model oci://…@DIGEST`;
      return [{ type, status: 'False', reason: 'NoMajority', message }];
    }
  }
};
