import { parseQuantity } from '../../api/quantity.ts';
import type { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  adapterMemoryAnnotation,
  asksForSidecar,
  type Container,
  hasSidecar,
  mirrorAnnotation,
  type Pod,
  sidecarName,
} from './pod.ts';
import { adapterMemoryVariable, type Sidecar } from './template.ts';

/** One step of a JSON patch (RFC 6902). */
export type Operation = { readonly op: 'add'; readonly path: string; readonly value: unknown };

/** What becomes of a pod that is created. */
export type Injection =
  | { readonly kind: 'Injected'; readonly operations: readonly Operation[] }
  /** It stays as it is; `warning` is for who creates it. */
  | { readonly kind: 'Unchanged'; readonly warning?: string }
  /** It is not created: its sidecar would not work, and the pod asked for one. */
  | { readonly kind: 'Refused'; readonly message: string; readonly isForbidden?: true };

/**
 * Adds the sidecar to a pod: as its first init container, so that everything else starts once it can answer. Everything
 * that the pod had stays as it was. A pod that has the sidecar is left alone.
 * @param denied why pods of its namespace are no runtimes
 */
export const inject = (pod: Pod, sidecar: Sidecar, denied?: AdaptletError): Injection => {
  if (!asksForSidecar(pod)) return { kind: 'Unchanged' };
  if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) {
    return { kind: 'Unchanged', warning: 'a static pod gets no sidecar: its file on the node decides' };
  }
  // Also one that came with the sidecar: the operator would not take it.
  if (denied !== undefined) return { kind: 'Refused', message: denied.message, isForbidden: true };
  if (hasSidecar(pod)) return { kind: 'Unchanged' };
  const problems = problemsOf(pod, sidecar);
  if (problems.length > 0) {
    return { kind: 'Refused', message: `the pod cannot have a sidecar: ${problems.join('; ')}` };
  }
  const { spec } = pod;
  const { container, volumes, imagePullSecrets } = withBudgetOf(pod, sidecar);
  const known = new Set(spec.imagePullSecrets?.map(({ name }) => name));
  return {
    kind: 'Injected',
    operations: [
      ...(spec.initContainers === undefined
        ? [add('/spec/initContainers', [container])]
        : [add('/spec/initContainers/0', container)]),
      ...appended('volumes', spec.volumes, volumes),
      ...appended(
        'imagePullSecrets',
        spec.imagePullSecrets,
        imagePullSecrets.filter(({ name }) => !known.has(name)),
      ),
    ],
  };
};

const add = (path: string, value: unknown): Operation => ({ op: 'add', path, value });

const appended = (
  field: string,
  present: readonly unknown[] | undefined,
  more: readonly unknown[],
): Operation[] => {
  if (more.length === 0) return [];
  if (present === undefined) return [add(`/spec/${field}`, more)];
  return more.map((value) => add(`/spec/${field}/-`, value));
};

const problemsOf = ({ metadata, spec }: Pod, { container, volumes }: Sidecar): string[] => {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  const ownVolumes = new Set(spec.volumes?.map(({ name }) => name));
  const budget = metadata.annotations?.[adapterMemoryAnnotation];
  return [
    ...(spec.hostNetwork === true
      ? ['hostNetwork shares localhost with the whole node, which the sidecar answers on: set it to false']
      : []),
    ...(spec.os !== undefined && spec.os.name !== 'linux'
      ? [`it runs on Linux, not on ${spec.os.name}`]
      : []),
    ...(spec.containers.some(({ name }) => name === sidecarName)
      ? [`the container ${sidecarName} has the name of the sidecar: give it another one`]
      : []),
    ...volumes
      .filter(({ name }) => ownVolumes.has(name))
      .map(({ name }) => `the volume ${name} has the name of one of the sidecar's: give it another one`),
    ...containers.flatMap((one) => takenPorts(one, container)),
    ...(budget === undefined || bytesOf(budget) !== undefined
      ? []
      : [
          `the annotation ${adapterMemoryAnnotation} is ${JSON.stringify(budget.slice(0, 40))}: write a quantity such as 512Mi`,
        ]),
  ];
};

const isTcp = ({ protocol = 'TCP' }: { readonly protocol?: string | undefined }): boolean =>
  protocol === 'TCP';

const takenPorts = ({ name, ports = [] }: Container, { ports: own = [] }: Sidecar['container']): string[] => {
  const wanted = new Set(own.map(({ containerPort }) => containerPort));
  return ports
    .filter((port) => isTcp(port) && wanted.has(port.containerPort))
    .map(
      ({ containerPort }) =>
        `the container ${name} has the port ${containerPort}, on which the sidecar listens: change it, or injection.ports of the chart`,
    );
};

const bytesOf = (quantity: string): number | undefined => {
  try {
    return parseQuantity(quantity);
  } catch {
    return undefined;
  }
};

/** With the RAM for adapters that the pod asks for; what the container may use grows or shrinks with it. */
const withBudgetOf = ({ metadata }: Pod, sidecar: Sidecar): Sidecar => {
  const asked = metadata.annotations?.[adapterMemoryAnnotation];
  if (asked === undefined) return sidecar;
  const { container } = sidecar;
  const former = container.env.find(({ name }) => name === adapterMemoryVariable)?.value ?? '0';
  const more = parseQuantity(asked) - parseQuantity(former);
  const grown = <T extends { readonly memory?: string | undefined }>(amounts: T): T =>
    amounts.memory === undefined
      ? amounts
      : { ...amounts, memory: String(Math.max(0, parseQuantity(amounts.memory) + more)) };
  const { requests, limits, ...rest } = container.resources ?? {};
  return {
    ...sidecar,
    container: {
      ...container,
      env: container.env.map((one) => (one.name === adapterMemoryVariable ? { ...one, value: asked } : one)),
      resources: {
        ...rest,
        ...(requests === undefined ? {} : { requests: grown(requests) }),
        ...(limits === undefined ? {} : { limits: grown(limits) }),
      },
    },
  };
};
