import type { AnalysisSpec } from '../../api/analysis.ts';
import type { Draft, Standing } from '../draft.ts';
import { giveUp } from '../moves.ts';
import { awaitingVerdict, givenUp } from '../standing.ts';
import { checkpointMs, durationOf, sharesText } from '../step-state.ts';
import type { Analyses } from './analyses.ts';

/** How a rollout stands in an analysis step; undefined: the step is over. */
export const standingOfAnalysis = (
  draft: Draft,
  spec: AnalysisSpec,
  state: NonNullable<Draft['step']>,
  at: { readonly elapsedMs: number; readonly analyses: Analyses; readonly now: string },
): Standing | undefined => {
  const durationMs = durationOf(spec.duration) ?? Number.POSITIVE_INFINITY;
  const elapsedMs = Math.min(durationMs, state.elapsedMs + at.elapsedMs);
  const ended = elapsedMs >= durationMs;
  const found = at.analyses.inStep(state.index, spec, { elapsedMs: at.elapsedMs, ended });
  draft.step = { ...state, elapsedMs };
  switch (found.conclusion) {
    case 'Advance':
      return undefined;
    case 'RollBack':
      giveUp(draft, found.message, at.now);
      return givenUp(draft);
    case 'Pause':
      return awaitingVerdict(draft, found.message);
    case 'Wait': {
      const where = `step ${state.index + 1}/${state.total} measures`;
      const length = spec.duration === undefined ? '' : ` for ${spec.duration}`;
      return {
        phase: 'Progressing',
        reason: 'Analysing',
        message: `${where}${length}, ${sharesText(draft)}`,
        // At the end only a result from elsewhere is waited for, which comes as a change.
        requeueAfterMs: Math.min(
          found.nextMs ?? checkpointMs,
          ended ? checkpointMs : durationMs - elapsedMs,
          checkpointMs,
        ),
      };
    }
  }
};
