import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Injection, inject, type Operation } from './patch.ts';
import type { Container, Pod } from './pod.ts';
import { aPod, aSidecar } from './sidecar.fixture.ts';

/** The `add` of RFC 6902, for lists and members. */
const applied = (pod: Pod, operations: readonly Operation[]): Pod => {
  const copy = structuredClone(pod) as unknown as Record<string, unknown>;
  for (const { path, value } of operations) {
    const parts = path.split('/').slice(1);
    const last = parts.pop() ?? '';
    let parent: unknown = copy;
    for (const part of parts) parent = (parent as Record<string, unknown>)[part];
    if (!Array.isArray(parent)) (parent as Record<string, unknown>)[last] = value;
    else if (last === '-') parent.push(value);
    else parent.splice(Number(last), 0, value);
  }
  return copy as unknown as Pod;
};

const operationsOf = (injection: Injection): readonly Operation[] => {
  if (injection.kind !== 'Injected') throw new Error(JSON.stringify(injection));
  return injection.operations;
};
const injected = (pod: Pod): Pod => applied(pod, operationsOf(inject(pod, aSidecar)));
const sidecarOf = (pod: Pod) => injected(pod).spec.initContainers?.[0] as typeof aSidecar.container;

const name = fc.constantFrom('a', 'b', 'c', 'd', 'adaptlet', 'runtime');
const names = <T extends object>(more: fc.Arbitrary<T>) =>
  fc.uniqueArray(
    fc.tuple(name, more).map(([one, rest]) => ({ name: one, ...rest })),
    {
      selector: (one) => one.name,
      maxLength: 4,
    },
  );
const containers: fc.Arbitrary<Container[]> = names(
  fc.record(
    {
      image: fc.string(),
      ports: fc.array(
        fc.record({
          containerPort: fc.integer({ min: 1, max: 7_000 }),
          protocol: fc.constantFrom('TCP', 'UDP'),
        }),
        { maxLength: 2 },
      ),
      restartPolicy: fc.constant('Always'),
      env: fc.array(fc.record({ name: fc.string(), value: fc.string() })),
    },
    { requiredKeys: ['image'] },
  ),
) as never;
const spec: fc.Arbitrary<Pod['spec']> = fc.record(
  {
    containers: containers.filter((all) => all.length > 0),
    initContainers: containers,
    volumes: names(fc.record({ emptyDir: fc.constant({}) })),
    imagePullSecrets: names(fc.constant({})),
    restartPolicy: fc.constantFrom('Always', 'Never'),
    terminationGracePeriodSeconds: fc.nat(100),
    securityContext: fc.dictionary(fc.string(), fc.jsonValue()),
    hostNetwork: fc.constant(false),
    os: fc.constant({ name: 'linux' }),
  },
  { requiredKeys: ['containers'] },
) as never;

describe('a pod that asks for a sidecar', () => {
  it('keeps everything that it had, in its order, and gets what is injected once', () => {
    fc.assert(
      fc.property(spec, (given) => {
        const pod = aPod(given);
        const after = injected(pod);
        const [first, ...initContainers] = after.spec.initContainers ?? [];
        expect(first).toEqual(aSidecar.container);
        const without = (field: 'volumes' | 'imagePullSecrets'): unknown[] =>
          (after.spec[field] ?? []).filter(
            (one) => given[field]?.some((other) => other.name === one.name) === true,
          );
        expect({
          ...after,
          spec: {
            ...after.spec,
            ...(given.initContainers === undefined ? { initContainers: undefined } : { initContainers }),
            ...(given.volumes === undefined ? { volumes: undefined } : { volumes: without('volumes') }),
            ...(given.imagePullSecrets === undefined
              ? { imagePullSecrets: undefined }
              : { imagePullSecrets: without('imagePullSecrets') }),
          },
        }).toEqual(pod);
        expect(after.spec.volumes).toEqual([...(given.volumes ?? []), ...aSidecar.volumes]);
        expect(inject(after, aSidecar)).toEqual({ kind: 'Unchanged' });
      }),
    );
  });

  it('has a Secret for images once, also where the pod names it', () => {
    const after = injected(aPod({ imagePullSecrets: [{ name: 'pull' }, {}] }));
    expect(after.spec.imagePullSecrets).toEqual([{ name: 'pull' }, {}]);
  });

  it('may say how much RAM is for adapters: what the container may use moves along', () => {
    const { env, resources } = sidecarOf(aPod({}, { 'adaptlet.io/adapter-memory': '512Mi' }));
    expect(env).toEqual([{ name: 'ADAPTLET_ADAPTER_MEMORY', value: '512Mi' }]);
    expect(resources).toEqual({
      requests: { cpu: '250m', memory: String(2 ** 30) },
      limits: { memory: String(2 ** 30 + 2 ** 28) },
    });
  });

  it.each<[string, Pod, string | RegExp]>([
    ['the network of its node', aPod({ hostNetwork: true }), 'hostNetwork'],
    ['another system', aPod({ os: { name: 'windows' } }), 'not on windows'],
    [
      'a container of that name',
      aPod({ containers: [{ name: 'adaptlet-runtime' }] }),
      'the container adaptlet-runtime has the name',
    ],
    [
      'a volume of that name',
      aPod({ volumes: [{ name: 'adaptlet-tmp' }] }),
      'the volume adaptlet-tmp has the name',
    ],
    [
      'a port that is taken',
      aPod({ containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }] }),
      'the container app has the port 8080, on which the sidecar listens: change it, or injection.ports',
    ],
    [
      'such a port in another sidecar',
      aPod({ initContainers: [{ name: 'proxy', ports: [{ containerPort: 9000, protocol: 'TCP' }] }] }),
      'the container proxy has the port 9000',
    ],
    [
      'a budget that is none',
      aPod({}, { 'adaptlet.io/adapter-memory': 'much' }),
      'is "much": write a quantity',
    ],
  ])('is refused with %s', (_, pod, message) => {
    expect(inject(pod, aSidecar)).toEqual({
      kind: 'Refused',
      message: expect.stringContaining(String(message)),
    });
  });

  it('is told everything that is in the way at once', () => {
    const pod = aPod({ hostNetwork: true, volumes: [{ name: 'adaptlet-data' }] });
    expect(inject(pod, aSidecar)).toMatchObject({
      message: expect.stringMatching(/hostNetwork.*adaptlet-data/),
    });
  });

  it('may have the port for another protocol', () => {
    const ports = [{ containerPort: 8080, protocol: 'UDP' }];
    expect(inject(aPod({ containers: [{ name: 'app', ports }] }), aSidecar).kind).toBe('Injected');
  });
});

describe('a pod', () => {
  it('that does not ask stays as it is', () => {
    const { spec: kept } = aPod({ hostNetwork: true });
    for (const labels of [{}, { 'adaptlet.io/inject': 'false' }])
      expect(inject({ metadata: { labels }, spec: kept }, aSidecar)).toEqual({ kind: 'Unchanged' });
  });

  it('of a file on a node is let through with a warning: the kubelet does not look at what is injected', () => {
    expect(inject(aPod({}, { 'kubernetes.io/config.mirror': 'x' }), aSidecar)).toEqual({
      kind: 'Unchanged',
      warning: expect.stringContaining('static pod'),
    });
  });
});
