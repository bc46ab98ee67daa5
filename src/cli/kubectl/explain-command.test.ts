import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { apiVersion } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { answering, json } from '../../kube/client/server.fixture.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { aPolicy, aRoute } from '../../plan/manifests.fixture.ts';
import { runtime } from '../doctor/cluster/facts.fixture.ts';
import { explainCommand } from './explain.ts';

const plurals = {
  Adapter: 'adapters',
  AdapterRollout: 'adapterrollouts',
  AdapterRoute: 'adapterroutes',
  AdapterPolicy: 'adapterpolicies',
  AdapterAnalysis: 'adapteranalyses',
  AdapterRuntime: 'adapterruntimes',
} as const;

/** An API server with these objects: what it was asked to list, and what the command prints about them. */
const clusterWith = async (...objects: readonly (Manifest | RuntimeObject)[]) => {
  const listed: string[] = [];
  const { path: kubeconfig } = await answering(({ url = '' }, response) => {
    const { pathname } = new URL(url, 'http://api');
    const [, namespace, plural = ''] = /v1alpha1\/(?:namespaces\/([^/]+)\/)?(\w+)$/.exec(pathname) ?? [];
    listed.push(`${namespace ?? '*'} ${plural}`);
    const items = objects.filter(
      ({ kind, metadata }) =>
        plurals[kind] === plural && (namespace === undefined || metadata.namespace === namespace),
    );
    json(response, 200, {
      metadata: {},
      items: items.map((one) => ({
        ...one,
        apiVersion,
        metadata: { ...one.metadata, resourceVersion: '1' },
      })),
    });
  });
  const explained = async (...flags: readonly string[]): Promise<string> => {
    const texts: string[] = [];
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      texts.push(String(text));
      return true;
    });
    try {
      await explainCommand().parseAsync(['--kubeconfig', kubeconfig, ...flags], { from: 'user' });
    } finally {
      write.mockRestore();
    }
    return texts.join('');
  };
  return { listed, explained };
};

const zoned = (name: string, zone: string): RuntimeObject => {
  const node = runtime(name);
  return { ...node, metadata: { ...node.metadata, labels: { zone } } };
};
const nodes = [zoned('near', 'a'), zoned('far', 'b')];
const general = { base: 'Deny', runtimes: { nodes: { matchLabels: { zone: 'a' } } } } as const;
const front = aRoute({ name: 'front' });

it('the policy of the namespace of the operator holds for a namespace without one', async () => {
  const { explained } = await clusterWith(...nodes, front, aPolicy('adaptlet-system', general));
  const text = await explained('-n', 'team-a', '-m', 'front');
  expect(text).toMatch(/^on near:\n/);
  expect(text).not.toContain('far');
  expect(text).toContain('(spec.base: Deny)');
});

it('that namespace may be another one', async () => {
  const { explained } = await clusterWith(...nodes, front, aPolicy('ops', general));
  expect(await explained('-n', 'team-a', '-m', 'front')).toMatch(/^on far, near:\n/);
  expect(await explained('-n', 'team-a', '-m', 'front', '--operator-namespace', 'ops')).toMatch(
    /^on near:\n/,
  );
});

it('a policy of its own holds for a namespace in place of it, and no right to the other is needed', async () => {
  const { explained, listed } = await clusterWith(
    ...nodes,
    front,
    aPolicy('adaptlet-system', general),
    aPolicy('team-a'),
  );
  const text = await explained('-n', 'team-a', '-m', 'front');
  expect(text).toMatch(/^on far, near:\n/);
  expect(text).not.toContain('Deny');
  expect(listed).not.toContain('adaptlet-system adapterpolicies');
});

it('requests of several namespaces are each explained by the objects of their own', async () => {
  const there = aRoute({ name: 'other', namespace: 'team-b' });
  const { explained, listed } = await clusterWith(
    zoned('near', 'a'),
    front,
    there,
    aPolicy('team-a'),
    aPolicy('team-b', { base: 'Deny' }),
  );
  const file = join(folderOfTest(), 'requests.jsonl');
  const requests = [
    { body: { model: 'front' } },
    { namespace: 'team-b', body: { model: 'other' } },
    { headers: { 'x-adaptlet-namespace': 'team-b' }, body: { model: 'other' } },
    { body: { model: 'front' } },
  ];
  await writeFile(file, requests.map((one) => JSON.stringify(one)).join('\n'));
  const text = await explained('-n', 'team-a', '--requests', file);
  expect([...text.matchAll(/^route .*|spec.base: Deny/gm)].map(([found]) => found)).toEqual([
    'route team-a/front',
    'route team-b/other',
    'spec.base: Deny',
    'route team-b/other',
    'spec.base: Deny',
    'route team-a/front',
  ]);
  expect(new Set(listed).size).toBe(listed.length);
  expect(await explained('-n', 'team-a', '-m', 'team-b/other')).toContain('route team-b/other\n');
});

it('a name that can be no namespace is asked about nowhere', async () => {
  const { explained, listed } = await clusterWith(zoned('near', 'a'), front);
  await expect(explained('-n', 'team-a', '-m', '../front')).rejects.toThrow(/there is no model/);
  expect(listed.filter((one) => one.startsWith('* '))).toEqual(['* adapterruntimes']);
});
