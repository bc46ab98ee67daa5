import type { InferParameter, ModelRepositoryParameter } from '../../../gen/inference/grpc_service.ts';
import type { Fields } from '../fields/field.ts';
import { FieldError } from '../fields/field-error.ts';
import { generateParameters, identityParameters, tensorParameters } from '../fields/oip.ts';
import { optionsOf } from '../fields/options.ts';
import { reader, refuseFields } from '../fields/parse.ts';
import { jsonFields } from '../fields/structure.ts';
import type { Options } from '../options.ts';

type Parameters = Readonly<Record<string, InferParameter | ModelRepositoryParameter>>;

const naming = (name: string): string => `parameter ${name}`;

/** A parameter that is there without a value is not absent: it gets one that no field takes. */
const plainValue = ({ parameterChoice: choice }: Parameters[string]): unknown =>
  typeof choice?.value === 'bigint' ? Number(choice.value) : (choice?.value ?? {});

/** Parameters as a JSON object has them. */
const plain = (parameters: Parameters): Record<string, unknown> =>
  Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, plainValue(parameter)]));

/** @throws REQUEST_UNSUPPORTED, REQUEST_INVALID; both name the parameter */
export const refuseParameters = (fields: Fields, parameters: Parameters): void =>
  refuseFields(fields, plain(parameters), naming);

/**
 * Refuses the parameters of an input or of an output, as it is called.
 * @throws as of {@link refuseParameters}
 */
export const refuseTensorParameters = (of: string, parameters: Parameters): void =>
  refuseFields(tensorParameters, plain(parameters), (name) => `${naming(name)} of ${of}`);

export type InferParameters = {
  readonly options: Options;
  readonly user?: string | undefined;
  readonly session?: string | undefined;
};

const readIdentity = reader(identityParameters, naming);
const readGenerate = reader(generateParameters, naming);

/**
 * Who asks, of a ModelInfer request that generates nothing.
 * @throws REQUEST_UNSUPPORTED, REQUEST_INVALID
 */
export const readIdentityParameters = (parameters: Parameters): Omit<InferParameters, 'options'> =>
  readIdentity(plain(parameters));

/** Parameters hold no objects and no lists: JSON text stands for them. @throws REQUEST_INVALID */
const withObjects = (values: Record<string, unknown>): Record<string, unknown> => {
  for (const name of jsonFields) {
    const text = values[name];
    if (typeof text !== 'string') continue;
    try {
      values[name] = JSON.parse(text);
    } catch (cause) {
      const what = `${naming(name)} must be JSON: ${String(cause)}`;
      throw new FieldError('REQUEST_INVALID', what, name, { cause });
    }
  }
  return values;
};

/**
 * Parameters of a ModelInfer request that generates text.
 * @throws REQUEST_UNSUPPORTED, REQUEST_INVALID
 */
export const readInferParameters = (parameters: Parameters): InferParameters => {
  const { user, session, ...options } = readGenerate(withObjects(plain(parameters)));
  return { options: optionsOf(options), user, session };
};
