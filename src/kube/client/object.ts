/** Metadata of an object as the API server gives it. */
export type KubeMetadata = {
  readonly name: string;
  /** '' for objects of the cluster. */
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  }[];
};

/** An object of any kind, as JSON. */
export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
  readonly spec?: unknown;
  readonly status?: unknown;
};

/** A kind as the REST API knows it. */
export type ResourceType = {
  /** '' is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
};

export const apiVersionOf = ({ group, version }: ResourceType): string =>
  group === '' ? version : `${group}/${version}`;

/** `namespace/name`, or `name` for objects of the cluster. The key of caches and queues. */
export const keyOfObject = ({
  metadata,
}: {
  readonly metadata: Pick<KubeMetadata, 'name' | 'namespace'>;
}): string =>
  metadata.namespace === undefined || metadata.namespace === ''
    ? metadata.name
    : `${metadata.namespace}/${metadata.name}`;

/** Path of a collection (namespace undefined: of all namespaces), of one object, or of a subresource of it. */
export const pathOf = (
  type: ResourceType,
  namespace?: string,
  name?: string,
  subresource?: string,
): string => {
  const parts = [
    type.group === '' ? 'api' : `apis/${type.group}`,
    type.version,
    ...(type.namespaced && namespace !== undefined ? ['namespaces', namespace] : []),
    type.plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return `/${parts.map(encodePart).join('/')}`;
};

const encodePart = (part: string): string => part.split('/').map(encodeURIComponent).join('/');

/** MicroTime of the API: RFC 3339 in UTC with six digits of the second, from milliseconds since the epoch. */
export const microTime = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, '000Z');
