/** What there is and what is planned. Bytes. */
export type Plan = {
  readonly limitBytes: number;
  /** In use apart from what the budgets are for: the base model and the processes. */
  readonly baseBytes: number;
  readonly kvBytes: number;
  readonly adapterBytes: number;
  /** Compiled structures; 0 where the base model has none. */
  readonly structureBytes: number;
  /** The process of the encoder of classifiers; 0: there is none. */
  readonly classifierBytes: number;
  /** What is to stay free. */
  readonly marginBytes: number;
};

/** What the two processes take without a base model. */
export const processBytes = 384 << 20;

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`;
/** As flags and manifests have it. */
const asQuantity = (bytes: number): string => `${Math.max(0, Math.floor(bytes / 2 ** 20))}Mi`;

/**
 * A sentence for people when a limit is less than what this runtime may come to take, with what to set; undefined when it is not. `base`: what
 * is counted before the budgets.
 */
export const shortPlan = (
  { limitBytes, baseBytes, kvBytes, adapterBytes, structureBytes, classifierBytes, marginBytes }: Plan,
  { level, base }: { readonly level: string; readonly base: string },
): string | undefined => {
  const needed = baseBytes + kvBytes + adapterBytes + structureBytes + classifierBytes + marginBytes;
  if (needed <= limitBytes) return undefined;
  const others = [
    ['--kv-memory', kvBytes],
    ['--adapter-memory', adapterBytes],
    ...(structureBytes > 0 ? [['--structure-memory', structureBytes] as const] : []),
    ...(classifierBytes > 0 ? [['--classifier-memory', classifierBytes] as const] : []),
  ] as const;
  const budgets = others.map(([flag, bytes]) => `${flag} ${mebibytes(bytes)}`).join(', ');
  const parts = `${base} ${mebibytes(baseBytes)}, ${budgets} and ${mebibytes(marginBytes)} that stay free`;
  const left = limitBytes - baseBytes - classifierBytes - marginBytes;
  const without = `give this runtime ${asQuantity(needed + 2 ** 20 - 1)}`;
  const forKv = left - adapterBytes - structureBytes;
  const advice =
    forKv > 0
      ? `set --kv-memory ${asQuantity(forKv)}`
      : left > 0
        ? `set --adapter-memory${structureBytes > 0 ? ', --structure-memory' : ''} and --kv-memory to ${asQuantity(left)} together`
        : left + classifierBytes > 0
          ? 'set --classifier-memory to less, with an encoder that fits it, or leave --classifier-model out'
          : 'no budget is small enough';
  return `${level} is ${mebibytes(limitBytes)}, which is less than what this runtime may come to take (${parts}); ${advice}, or ${without}. Until then budgets shrink when memory is short`;
};
