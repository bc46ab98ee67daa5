/**
 * Optimisers of ONNX Runtime to switch off, as `optimization.disable_specified_optimizers` takes them, for every
 * graph of a base model alike. Each merges a linear, or the bias of one, with what follows. In a graph with LoRA a sum
 * stands in between, so that only the graph without it would be merged: the two then round differently, and rank 0
 * would no longer be bit-equal. Merged linears could not be extended either.
 */
export const linearFusions = [
  // q, k and v of an encoder, and all of its attention, in one node: graphs of old exporters only.
  'AttentionFusion',
  // The bias after a linear, in the normalisation after it.
  'BiasSkipLayerNormFusion',
  // The bias after a quantised linear, in that.
  'MatMulNBitsFusion',
  // A factor that follows a linear: Granite's, of what a layer adds.
  'MatMulScaleFusion',
  // The activation after a Gemm: the pooler's.
  'GemmActivationFusion',
].join(';');
