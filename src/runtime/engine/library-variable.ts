/**
 * Names another libonnxruntime than the one that onnxruntime-node ships, such as one that was built for a device. The
 * engine process, and the processes that it starts, find it in their environment.
 */
export const libraryVariable = 'ADAPTLET_ONNX_RUNTIME_LIBRARY';
