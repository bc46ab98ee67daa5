import packageJson from '../package.json' with { type: 'json' };

/** What an install is made with. The Helm chart has more to choose from. */
export type Install = {
  readonly namespace: string;
  readonly image: string;
  readonly replicas: number;
  /** Name of the base model; its folder lies below {@link modelsFolder} on each node. */
  readonly model: string;
};

export const version = packageJson.version;

/** Folder on each node that holds base models. */
export const modelsFolder = '/var/lib/adaptlet-models';
/** Folder on each node that the runtime owns. */
export const dataFolder = '/var/lib/adaptlet';

/** The user and group of every process: nobody's on a usual node. */
export const user = 65_532;

export const names = { operator: 'adaptlet-operator', runtime: 'adaptlet-runtime' } as const;
export const operatorPorts = { grpc: 9443, http: 8081 } as const;
export const runtimePorts = { grpc: 9000, http: 8080 } as const;

export const defaults: Install = {
  namespace: 'adaptlet-system',
  image: `adaptlet:${version}`,
  replicas: 2,
  model: 'smollm2-135m',
};
