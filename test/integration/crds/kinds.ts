import type { Cluster } from '../../cluster/index.ts';
import type { Schema } from './sample.ts';

export type Crd = {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly {
      readonly name: string;
      readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string }[];
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
  readonly status: {
    readonly conditions: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
    readonly acceptedNames: {
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
  };
};

/** Kinds that have a status: their short names, and the smallest spec that is valid. */
export const kinds = [
  { kind: 'Adapter', short: 'ad', spec: { baseModel: 'tiny', source: { path: { path: 'a' } } } },
  { kind: 'AdapterRollout', short: 'aro', spec: { adapter: 'a' } },
  {
    kind: 'AdapterRoute',
    short: 'art',
    spec: { model: 'm', rules: [{ name: 'r', targets: [{ base: true }] }] },
  },
  { kind: 'AdapterRuntime', short: 'adr', spec: {} },
] as const;

/** The kind that has none, with something in every column. */
export const analysisKind = {
  kind: 'AdapterAnalysis',
  short: 'aan',
  spec: {
    duration: '5m',
    metrics: [
      { name: 'errors', source: { builtin: 'ErrorRatio' } },
      { name: 'latency', source: { builtin: 'Latency' } },
    ],
  },
} as const;
export type KindName = (typeof kinds)[number]['kind'] | typeof analysisKind.kind;

const pluralOf = (kind: KindName): string =>
  kind === 'AdapterAnalysis' ? 'adapteranalyses' : `${kind.toLowerCase()}s`;

export const crdOf = async (cluster: Cluster, kind: KindName): Promise<Crd> =>
  JSON.parse(await cluster.kubectlOk(['get', 'crd', `${pluralOf(kind)}.adaptlet.io`, '-o', 'json'])) as Crd;

export const versionOf = (crd: Crd): Crd['spec']['versions'][number] => {
  const [version] = crd.spec.versions;
  if (version === undefined) throw new Error(`${crd.metadata.name} has no version`);
  return version;
};

export const statusSchema = (crd: Crd): Schema => {
  const status = versionOf(crd).schema.openAPIV3Schema.properties?.['status'];
  if (status === undefined) throw new Error(`${crd.metadata.name} has no status`);
  return status;
};
