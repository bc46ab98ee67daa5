import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** Logits of every position by the graph as it was exported, run by nothing of ours. */
export const exportedLogits = async (
  modelDir: string,
  shape: { readonly layers: number; readonly kvHeads: number; readonly headSize: number },
  ids: readonly number[],
): Promise<Float32Array> => {
  const session = await InferenceSession.create(join(modelDir, 'model.onnx'), { intraOpNumThreads: 1 });
  const feeds: Record<string, Tensor> = {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
  };
  const empty = new Tensor('float32', new Float32Array(0), [1, shape.kvHeads, 0, shape.headSize]);
  for (let layer = 0; layer < shape.layers; layer += 1) {
    feeds[`past_key_values.${layer}.key`] = empty;
    feeds[`past_key_values.${layer}.value`] = empty;
  }
  const { logits } = await session.run(feeds);
  await session.release();
  return logits?.data as Float32Array;
};
