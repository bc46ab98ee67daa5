import { z } from 'zod';

/** As much of a container as is looked at; the rest passes through. */
export const containerSchema = z.looseObject({
  name: z.string(),
  ports: z.array(z.looseObject({ containerPort: z.int(), protocol: z.string().optional() })).optional(),
  restartPolicy: z.string().optional(),
});
export type Container = z.infer<typeof containerSchema>;

/** The same of a volume, or of a reference to a Secret. */
export const namedSchema = z.looseObject({ name: z.string() });

/** The same of a pod. */
export const podSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string().optional(),
    generateName: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.looseObject({
    containers: z.array(containerSchema),
    initContainers: z.array(containerSchema).optional(),
    volumes: z.array(namedSchema).optional(),
    imagePullSecrets: z.array(z.looseObject({ name: z.string().optional() })).optional(),
    hostNetwork: z.boolean().optional(),
    os: z.looseObject({ name: z.string() }).optional(),
  }),
});
export type Pod = z.infer<typeof podSchema>;

/** Names of a pod's own. Label: asks for the sidecar. Annotation: RAM for adapters in place of the template's. */
export const injectLabel = 'adaptlet.io/inject';
export const adapterMemoryAnnotation = 'adaptlet.io/adapter-memory';
/** On the pod of a file of a node, as the API server shows it. */
export const mirrorAnnotation = 'kubernetes.io/config.mirror';
/** Name of the container that is injected. */
export const sidecarName = 'adaptlet-runtime';

export const hasSidecar = ({ spec }: Pick<Pod, 'spec'>): boolean =>
  spec.initContainers?.some(({ name }) => name === sidecarName) ?? false;

/** Whether the pod asks for a sidecar. */
export const asksForSidecar = ({ metadata }: Pick<Pod, 'metadata'>): boolean =>
  metadata.labels?.[injectLabel] === 'true';
