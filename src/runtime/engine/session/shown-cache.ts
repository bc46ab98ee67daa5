import type { Feeds } from '../adapters/feeds.ts';
import { NativeMemory } from '../ort/memory.ts';
import { elementBytes, OrtTensor } from '../ort/tensor.ts';
import type { DecoderSession } from './decoder-session.ts';

/** Keys or values of one layer: [kvHeads, tokens, headSize], valid while they are shown. */
export type Shown = { readonly entry: number; readonly values: Float32Array | Int8Array };

/** Logits of the wanted positions of a sequence of its own, whose keys and values are shown then, entry by entry. */
export const showCache = async (
  session: DecoderSession,
  feeds: Feeds,
  { ids, wanted }: { readonly ids: readonly number[]; readonly wanted: readonly number[] },
  show: (shown: Shown) => void,
): Promise<Float32Array> => {
  const { entries, kvHeads, headSize, element } = session.cacheShape;
  const count = kvHeads * ids.length * headSize;
  const bytes = count * elementBytes(element);
  const memory = new NativeMemory(entries * bytes);
  const tensors = Array.from({ length: entries }, (_, entry) => {
    const address = memory.address + BigInt(entry * bytes);
    return new OrtTensor(element, [1, kvHeads, ids.length, headSize], address);
  });
  try {
    const step = { ids: [ids], before: [0] };
    const run = session.prepareRows(feeds, step, { past: tensors, present: tensors }, wanted);
    const logits = (await run()).slice();
    const Values = element === 'int8' ? Int8Array : Float32Array;
    for (let entry = 0; entry < entries; entry += 1)
      show({ entry, values: new Values(memory.buffer, entry * bytes, count) });
    return logits;
  } finally {
    for (const tensor of tensors) tensor.release();
    memory.free();
  }
};
