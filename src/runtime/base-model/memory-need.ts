import type { Settings } from '../config/settings.ts';

/** What a base model needs with the present settings. Bytes. */
export type MemoryNeed = {
  /** RAM of the weights, most of them as kernels pack them for this processor. */
  readonly weightsBytes: number;
  readonly kvBytes: number;
  readonly adapterBytes: number;
  /** Of decoders: compiled structures. */
  readonly structureBytes: number;
  /** The process of the encoder of classifiers. */
  readonly classifierBytes: number;
  /** The most of a first start, and of all above together. */
  readonly totalBytes: number;
  /**
   * RAM of the processes that optimise and compare, one after the other, before keys and values and adapters take any. Absent where
   * it was not measured: weights in float32 and float16.
   */
  readonly firstStartBytes?: number;
  /** Keys and values of one token, and the most tokens of one request that they leave room for. */
  readonly kvBytesPerToken?: number;
  readonly kvTokens?: number;
  /** RAM of an adapter of rank 16 on all linears that is stored as float16, with the native operator. */
  readonly adapterRank16Bytes?: number;
  /** Requests that are wanted at a time, and what their keys and values take. */
  readonly wanted?: Wanted & { readonly kvBytes: number };
};

/** Requests at a time, and tokens of prompt and answer of each. */
export type Wanted = { readonly requests: number; readonly tokens: number };

export type MemoryInput = {
  readonly settings: Pick<
    Settings,
    'adapterMemory' | 'structureMemory' | 'classifierModel' | 'classifierMemory'
  >;
  readonly modelBytes: number;
  readonly precision: string;
  /** In and out features of all linears that LoRA reaches. */
  readonly features: number;
  /** Of decoders. */
  readonly kv?: {
    readonly budgetBytes: number;
    readonly bytesPerToken: number;
    readonly tokens: number;
    readonly wanted: Wanted;
  };
};

/**
 * Of weights in int4 and int8, measured: docs/adr/0045. `ratio`: RAM over bytes in the model, packed and what stays mapped;
 * `besideBytes`: what does not grow with them, as the vocabulary. `first`: both ways packed, at the first start.
 */
const packed = {
  ratio: 1.25,
  besideBytes: 130 << 20,
  first: { ratio: 2.5, besideBytes: 118 << 20 },
} as const;
const plainRatio = 1.1;

const bytesBy = (
  { ratio, besideBytes }: { readonly ratio: number; readonly besideBytes: number },
  bytes: number,
): number => Math.round(ratio * bytes) + besideBytes;

const halfBytes = 2;

const wantedOf = ({
  bytesPerToken,
  wanted,
}: NonNullable<MemoryInput['kv']>): NonNullable<MemoryNeed['wanted']> => ({
  ...wanted,
  kvBytes: wanted.requests * wanted.tokens * bytesPerToken,
});

/** What the encoder of classifiers may take; 0: the settings name none. */
export const encoderBytesOf = ({
  classifierModel,
  classifierMemory,
}: Pick<Settings, 'classifierModel' | 'classifierMemory'>): number =>
  classifierModel === undefined ? 0 : classifierMemory;

export const memoryNeedOf = ({ settings, modelBytes, precision, features, kv }: MemoryInput): MemoryNeed => {
  const { adapterMemory: adapterBytes } = settings;
  const isPacked = precision === 'int4' || precision === 'int8';
  const weightsBytes = bytesBy(isPacked ? packed : { ratio: plainRatio, besideBytes: 0 }, modelBytes);
  const firstStartBytes = isPacked ? bytesBy(packed.first, modelBytes) : 0;
  const kvBytes = kv?.budgetBytes ?? 0;
  const structureBytes = kv === undefined ? 0 : settings.structureMemory;
  const classifierBytes = encoderBytesOf(settings);
  const servingBytes = weightsBytes + kvBytes + adapterBytes + structureBytes + classifierBytes;
  return {
    weightsBytes,
    kvBytes,
    adapterBytes,
    structureBytes,
    classifierBytes,
    totalBytes: Math.max(servingBytes, firstStartBytes),
    ...(isPacked ? { firstStartBytes } : {}),
    ...(kv === undefined
      ? {}
      : { kvBytesPerToken: kv.bytesPerToken, kvTokens: kv.tokens, wanted: wantedOf(kv) }),
    ...(features === 0 ? {} : { adapterRank16Bytes: 16 * features * halfBytes }),
  };
};
