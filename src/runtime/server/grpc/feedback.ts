import type { InferenceServer } from '../../../gen/adaptlet/inference/v1/inference.ts';
import type { Parts } from '../exchange.ts';
import { takeFeedback } from '../feedback.ts';
import { knownUnary } from './call.ts';

/** Feedback of `adaptlet.inference.v1.Inference`. */
export const feedbackCall = (parts: Parts): Pick<InferenceServer, 'feedback'> => ({
  feedback: knownUnary(parts, 'Inference/Feedback', ({ id, reward }, { caller }) => {
    const { rollout, arm, digest, replaced } = takeFeedback(parts, caller, id, reward);
    return { rollout, arm, digest, replaced };
  }),
});
