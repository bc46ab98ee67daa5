import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve } from '../../../src/egress/loopback-server.fixture.ts';
import { TestFleet } from '../../support/fleet.ts';
import { waitFor } from '../../support/wait.ts';

describe('a node whose tenants write Adapters', () => {
  const stack = new AsyncDisposableStack();
  let fleet: TestFleet;
  beforeAll(async () => {
    const nodeSettings = { 'egress-allow': '', 'insecure-registries': '' };
    fleet = stack.use(await TestFleet.start({ replicas: 1, runtimes: 1, nodeSettings }));
  });
  afterAll(() => stack.disposeAsync());

  // With a digest the operator asks no registry.
  const digest = `sha256:${createHash('sha256').update('x').digest('hex')}`;
  const apply = (name: string, image: string) =>
    fleet.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  digest: "${digest}"\n  source: {oci: {image: "${image}"}}\n  preload: {tier: Disk}\n`,
    );
  const saysOf = (name: string, text: string) =>
    waitFor(
      `${name} to say ${text}`,
      async () => JSON.stringify(await fleet.get('ad', name)).includes(text),
      60_000,
    );

  it('asks neither this machine nor what is link-local, until the policy of the namespace lists the registry', async () => {
    const { host, asked, paths } = await serve((_, response) => void response.writeHead(404).end());
    await apply('metadata', '169.254.169.254/a:v1');
    await apply('inner', `${host}/team/sql:v1`);
    await saysOf('metadata', 'leads to an address that is link-local');
    await saysOf('inner', 'runtime.egress.allow');
    expect(asked).toEqual([]);
    await fleet.apply(
      JSON.stringify({
        apiVersion: 'adaptlet.io/v1alpha1',
        kind: 'AdapterPolicy',
        metadata: { name: 'default' },
        spec: { sources: { registries: [`${host}/team`] } },
      }),
    );
    await saysOf('inner', 'ARTIFACT_NOT_FOUND');
    expect(paths()[0]).toBe(`/v2/team/sql/manifests/${digest}`);
  });
});
