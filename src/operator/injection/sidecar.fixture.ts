import type { Pod } from './pod.ts';
import type { Sidecar } from './template.ts';

/** A sidecar as short as can be. */
export const aSidecar: Sidecar = {
  container: {
    name: 'adaptlet-runtime',
    restartPolicy: 'Always',
    image: 'adaptlet:0.1.0',
    env: [{ name: 'ADAPTLET_ADAPTER_MEMORY', value: '256Mi' }],
    ports: [{ containerPort: 8080 }, { containerPort: 9000, protocol: 'TCP' }],
    resources: { requests: { cpu: '250m', memory: '768Mi' }, limits: { memory: '1Gi' } },
  },
  volumes: [
    { name: 'adaptlet-data', emptyDir: {} },
    { name: 'adaptlet-tmp', emptyDir: {} },
  ],
  imagePullSecrets: [{ name: 'pull' }],
};

/** A pod that asks for the sidecar. */
export const aPod = (spec: Partial<Pod['spec']> = {}, annotations: Record<string, string> = {}): Pod => ({
  metadata: { generateName: 'app-', labels: { 'adaptlet.io/inject': 'true' }, annotations },
  spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
});
