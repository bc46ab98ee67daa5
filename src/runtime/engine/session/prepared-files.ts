/** Names of the files in a folder of prepared weights. */
export const preparedFiles = {
  graph: 'optimised.onnx',
  weights: 'weights.bin',
  manifest: 'prepared.json',
} as const;
