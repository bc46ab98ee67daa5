import type { Digest } from '../api/names.ts';
import { mediaTypes } from './manifest.ts';

/** What the configuration of a ModelPack says of a model. */
export type ModelFacts = {
  /** As the model calls its architecture: llama. */
  readonly family?: string | undefined;
  /** Of the weights: safetensors, onnx. */
  readonly format: string;
  /** Numbers that were trained; 0 where that is not known. */
  readonly parameters: number;
  /** What most of them are stored as: float32, float16, bfloat16, int8, int4… */
  readonly precision?: string | undefined;
};

/** Three digits, as model hubs write it. */
const paramSizeOf = (parameters: number): string => {
  const units = [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ] as const;
  const [size, unit] = units.find(([least]) => parameters >= least) ?? [1, ''];
  return `${Number((parameters / size).toPrecision(3))}${unit}`;
};

/**
 * The configuration of a ModelPack (https://github.com/modelpack/model-spec): what the files say, no times and no names.
 * `paramSize` is always in it: docker takes a configuration without it for one of another kind.
 */
const configOf = (
  { family, format, parameters, precision }: ModelFacts,
  layers: readonly { readonly digest: Digest }[],
): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      config: {
        architecture: 'transformer',
        format,
        paramSize: paramSizeOf(parameters),
        precision,
      },
      descriptor: { family },
      modelfs: { type: 'layers', diffIds: layers.map(({ digest }) => digest) },
    }),
  );

/** Types and configuration of an artifact in the form of a ModelPack. */
export const modelPack = (facts: ModelFacts, layers: readonly { readonly digest: Digest }[]) => ({
  artifactType: mediaTypes.model,
  configType: mediaTypes.modelConfig,
  config: configOf(facts, layers),
});
