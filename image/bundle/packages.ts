/** A package that is in the bundle and looks for files beside itself. */
export type Keep = {
  /** Its files that look, below node_modules. */
  readonly looksFrom: readonly string[];
  /** What they look for, below node_modules. Nothing, where it is for something that is not used here. */
  readonly files: readonly string[];
};

/** Native code, which is found by its place in node_modules. */
export const unbundled = ['koffi', 'onnxruntime-node'] as const;

const piscina = (name: string): string => `piscina/dist/${name}.js`;
const reflection = (path: string): string => `@grpc/reflection/build/${path}`;

export const keptFiles: readonly Keep[] = [
  {
    looksFrom: [piscina('index')],
    files: ['worker', 'common', 'symbols', 'errors', 'types'].map(piscina),
  },
  {
    looksFrom: [
      reflection('src/implementations/reflection-v1.js'),
      reflection('src/implementations/reflection-v1alpha.js'),
    ],
    files: [
      reflection('proto/grpc/reflection/v1/reflection.proto'),
      reflection('proto/grpc/reflection/v1alpha/reflection.proto'),
    ],
  },
  {
    // Channelz, call metrics, transports of pino and a comment: nothing of it is used.
    looksFrom: [
      '@grpc/grpc-js/build/src/channelz.js',
      '@grpc/grpc-js/build/src/orca.js',
      'pino/lib/transport.js',
      'thread-stream/index.js',
      '@colors/colors/lib/colors.js',
    ],
    files: [],
  },
];
