import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Task } from './tasks.ts';

/** What each task is asked by. */
const callsOf: Readonly<Record<Task, string>> = {
  generate:
    'text generation (/v1/completions, /v1/chat/completions, Generate, ModelInfer with the input text)',
  embed:
    'embeddings and classification (/v1/embeddings, /v1/classify, Embed, Classify, ModelInfer with the input text)',
  infer: 'tensors (ModelInfer with the inputs that ModelMetadata tells)',
};

/** A request of another task than the base model's. */
export const refuseTask = (task: Task, asked: Task): AdaptletError =>
  new AdaptletError(
    'TASK_UNSUPPORTED',
    `The request asks for ${callsOf[asked]}; the base model does ${callsOf[task]}`,
  );
