import type { InferenceServer } from '../../../gen/adaptlet/inference/v1/inference.ts';
import type { Parts } from '../exchange.ts';
import { takeFeedback } from '../feedback.ts';
import { unary } from './call.ts';

/** Feedback of `adaptlet.inference.v1.Inference`. */
export const feedbackCall = (parts: Parts): Pick<InferenceServer, 'feedback'> => ({
  feedback: unary(parts, 'Inference/Feedback', ({ id, reward }) => {
    const { rollout, arm, digest, replaced } = takeFeedback(parts, id, reward);
    return { rollout, arm, digest, replaced };
  }),
});
