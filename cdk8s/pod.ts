import {
  type Container,
  type EnvVar,
  IntOrString,
  type PodSecurityContext,
  type Probe,
  Quantity,
  type ResourceRequirements,
  type SecurityContext,
} from 'cdk8s-plus-33/lib/imports/k8s.js';
import { user } from './settings.ts';

/** What PodSecurity `restricted` asks of a pod. The group may read the token and what is mounted. */
export const podSecurity: PodSecurityContext = {
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: user,
  fsGroup: user,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** What it asks of a container, and a root file system that nothing is written to. */
export const containerSecurity: SecurityContext = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
};

export const env = (values: Readonly<Record<string, string>>): EnvVar[] =>
  Object.entries(values).map(([name, value]) => ({ name, value }));

/** A variable that Kubernetes fills in from the pod. */
export const fromPod = (name: string, fieldPath: string): EnvVar => ({
  name,
  valueFrom: { fieldRef: { fieldPath } },
});

const probe = (path: string, periodSeconds: number, failureThreshold: number): Probe => ({
  httpGet: { path, port: IntOrString.fromString('http') },
  periodSeconds,
  failureThreshold,
  timeoutSeconds: 5,
});

/** `/livez` and `/readyz` of the port `http`; nothing is judged before the first `/livez` or `startSeconds`. */
export const probes = (
  startSeconds: number,
): Required<Pick<Container, 'startupProbe' | 'livenessProbe' | 'readinessProbe'>> => ({
  startupProbe: probe('/livez', 5, startSeconds / 5),
  livenessProbe: probe('/livez', 10, 3),
  readinessProbe: probe('/readyz', 5, 2),
});

const quantities = (given: Readonly<Record<string, string>>): Record<string, Quantity> =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name, Quantity.fromString(value)]));

export const resources = (
  requests: Readonly<Record<string, string>>,
  limits: Readonly<Record<string, string>>,
): ResourceRequirements => ({ requests: quantities(requests), limits: quantities(limits) });
