import { joinCapped } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { AnalysisObject } from '../../api/objects.ts';
import type { AnalysisFact } from '../../rollout/facts.ts';
import type { Collection } from '../objects/objects.ts';

/** What an AdapterAnalysis says now. One that is being deleted is there until it is gone. */
export const analysisFact = (
  analyses: Pick<Collection<AnalysisObject>, 'get'>,
  key: ObjectKey,
): AnalysisFact | undefined => {
  const read = analyses.get(key);
  if (read === undefined) return undefined;
  const { uid, generation = 1 } = read.metadata;
  if (read.object !== undefined) return { uid, generation, spec: read.object.spec };
  const why = read.problems.map(({ reason }) => reason);
  return { uid, generation, invalid: joinCapped(why, 10, '; ') };
};
