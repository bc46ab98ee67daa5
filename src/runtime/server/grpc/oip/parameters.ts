import { AdaptletError } from '../../../../errors/adaptlet-error.ts';
import type { InferParameter, ModelInferRequest } from '../../../../gen/inference/grpc_service.ts';
import type { Options } from '../../options.ts';

const refuse = (what: string): never => {
  throw new AdaptletError('REQUEST_INVALID', what);
};

const numberOf = (name: string, { parameterChoice: choice }: InferParameter): number => {
  if (choice?.$case === 'doubleParam') return choice.value;
  if (choice?.$case === 'int64Param' || choice?.$case === 'uint64Param') return Number(choice.value);
  return refuse(`parameter ${name} must be a number`);
};

const textOf = (name: string, { parameterChoice: choice }: InferParameter): string =>
  choice?.$case === 'stringParam' ? choice.value : refuse(`parameter ${name} must be a string`);

/** Parameters hold no lists: several stop strings come as a JSON array of strings, one comes as it is. */
const stopOf = (text: string): string[] => {
  if (!text.startsWith('[')) return [text];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((s) => typeof s === 'string')) return list;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return [text];
};

const numbers = {
  max_tokens: 'maxTokens',
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  min_p: 'minP',
  seed: 'seed',
  repetition_penalty: 'repetitionPenalty',
  frequency_penalty: 'frequencyPenalty',
  presence_penalty: 'presencePenalty',
} as const satisfies Record<string, keyof Options>;
const known = [...Object.keys(numbers), 'stop', 'user', 'session'];

export type InferParameters = {
  readonly options: Options;
  readonly user?: string;
  readonly session?: string;
};

/** Parameters of a ModelInfer request that generates nothing: who asks. Errors: REQUEST_INVALID. */
export const identityParameters = (
  parameters: ModelInferRequest['parameters'],
): Omit<InferParameters, 'options'> => {
  const unknown = Object.keys(parameters).find((name) => name !== 'user' && name !== 'session');
  if (unknown !== undefined) refuse(`parameter ${unknown} is not known; known are user, session`);
  const { options: _, ...identity } = inferParameters(parameters);
  return identity;
};

/** Parameters of a ModelInfer request. Errors: REQUEST_INVALID for an unknown one or one of another type. */
export const inferParameters = (parameters: ModelInferRequest['parameters']): InferParameters => {
  const unknown = Object.keys(parameters).find((name) => !known.includes(name));
  if (unknown !== undefined) refuse(`parameter ${unknown} is not known; known are ${known.join(', ')}`);
  const options: Record<string, number> = {};
  for (const [name, key] of Object.entries(numbers)) {
    const parameter = parameters[name];
    if (parameter !== undefined) options[key] = numberOf(name, parameter);
  }
  const { stop, user, session } = parameters;
  return {
    options: { ...options, ...(stop === undefined ? {} : { stop: stopOf(textOf('stop', stop)) }) },
    ...(user === undefined ? {} : { user: textOf('user', user) }),
    ...(session === undefined ? {} : { session: textOf('session', session) }),
  };
};
