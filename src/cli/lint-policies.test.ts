import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { lintFiles } from './lint.ts';

const head = 'apiVersion: adaptlet.io/v1alpha1';
const digest = `sha256:${'0'.repeat(64)}`;
const adapter = (name: string, path = name, namespace = 'team-a') =>
  `${head}\nkind: Adapter\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec:\n  baseModel: tiny\n  source:\n    path: {path: ${path}}\n  digest: "${digest}"\n---\n`;
const policy = (namespace: string, spec: string) =>
  `${head}\nkind: AdapterPolicy\nmetadata: {name: default, namespace: ${namespace}}\nspec:\n  ${spec}\n---\n`;

describe('lint with an AdapterPolicy among the files', () => {
  let folder = '';
  beforeEach(() => {
    folder = folderOfTest();
  });

  const lint = async (text: string) => {
    await writeFile(join(folder, 'all.yaml'), text);
    let out = '';
    const code = await lintFiles([join(folder, 'all.yaml')], {
      out: (lines) => void (out += lines),
      err: () => undefined,
    });
    return { code, out: out.replaceAll(`${folder}/`, '') };
  };

  it('finds an Adapter whose source the policy does not allow, at the line of the source', async () => {
    const own = policy('team-a', 'sources: {paths: [team-a]}\n  clients: {anonymous: Allow}');
    const { code, out } = await lint(own + adapter('a', 'team-a/a') + adapter('b', 'other/b'));
    expect(code).toBe(1);
    expect(out).toBe(
      'all.yaml:22: spec.source: the path other/b is not below what the policy team-a/default allows in spec.sources.paths: team-a\n',
    );
    expect((await lint(own + adapter('b', 'other/b', 'team-b'))).code).toBe(0);
  });

  it('takes the policy of adaptlet-system for namespaces without one', async () => {
    const general = policy('adaptlet-system', 'sources: {paths: []}');
    expect((await lint(general + adapter('a'))).out).toContain('the policy adaptlet-system/default allows');
    expect((await lint(general + policy('team-a', 'base: Allow') + adapter('a'))).code).toBe(0);
  });

  it('finds a folder where the policy asks for a signature, and not where it only watches', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = { name: 'release', publicKey: publicKey.export({ type: 'spki', format: 'pem' }) };
    const asking = (required: boolean) =>
      policy('team-a', `signatures: ${JSON.stringify({ required, keys: [key] })}`);
    const { code, out } = await lint(asking(true) + adapter('a'));
    expect(code).toBe(1);
    expect(out).toContain(
      'spec.source: the policy team-a/default asks for a signature, and a folder has none',
    );
    expect((await lint(asking(false) + adapter('a'))).code).toBe(0);
  });

  it('finds more Adapters than count', async () => {
    const limited = policy('team-a', 'limits: {adapters: 1}');
    const { code, out } = await lint(limited + adapter('a') + adapter('b'));
    expect(code).toBe(1);
    expect(out).toContain(
      'all.yaml:5: spec.limits.adapters: the namespace team-a has 2 Adapters in these files, and the policy team-a/default lets the oldest 1 count',
    );
    expect((await lint(limited + adapter('a') + adapter('b', 'b', 'team-b'))).code).toBe(0);
  });

  it('finds routes and rollouts that ask for the base model where it may not answer, and templates of users', async () => {
    const denied = policy('team-a', 'base: Deny\n  sources: {registries: [registry.example/team-a]}');
    const route = `${head}\nkind: AdapterRoute\nmetadata: {name: r, namespace: team-a}\nspec:\n  model: m\n  rules:\n    - name: users\n      matches: [{user: {in: [x]}}]\n      perUser: {baseModel: tiny, source: {oci: {image: "registry.example/team-b/{user}:v1"}}}\n      fallback: [{base: true}]\n    - {name: rest, targets: [{base: true}]}\n---\n`;
    const rollout = `${head}\nkind: AdapterRollout\nmetadata: {name: sql, namespace: team-a}\nspec: {adapter: a, fallbackToBase: true}\n`;
    const { out } = await lint(denied + route + rollout);
    for (const field of [
      'spec.rules[0].perUser.source: registry.example/team-b/{user}:v1 is not below',
      'spec.rules[0].fallback[0]: the policy team-a/default does not let the base model answer',
      'spec.rules[1].targets[0]: the policy',
      'spec.fallbackToBase: the policy',
    ])
      expect(out).toContain(field);
  });

  it('refuses a policy of another name', async () => {
    const { out } = await lint(policy('team-a', 'base: Deny').replace('name: default', 'name: mine'));
    expect(out).toContain('metadata.name: must be default: a namespace has one policy');
  });

  it('finds hosts of metrics that the policy does not list, in analyses and in rollouts', async () => {
    const own = policy('team-a', 'sources: {metricHosts: ["prometheus:9090"]}');
    const metrics = (host: string) =>
      `{metrics: [{name: m, source: {prometheus: {address: "http://${host}", query: up}}, judge: {threshold: {success: {atMost: 1}}}}]}`;
    const analysis = `${head}\nkind: AdapterAnalysis\nmetadata: {name: shared, namespace: team-a}\nspec: ${metrics('elsewhere')}\n---\n`;
    const rollout = (host: string) =>
      `${head}\nkind: AdapterRollout\nmetadata: {name: sql, namespace: team-a}\nspec: {adapter: a, strategy: {canary: {steps: [{setWeight: 5}], analysis: ${metrics(host)}}}}\n---\n`;
    const { out } = await lint(own + adapter('a') + analysis + rollout('prometheus:9090'));
    expect(out).toContain('the host elsewhere is not one that the policy team-a/default allows');
    expect(out.match(/metricHosts/g)).toHaveLength(1);
    expect((await lint(own + adapter('a') + rollout('elsewhere'))).out).toContain('the host elsewhere');
  });

  it('warns of a policy that lets nobody in', async () => {
    const { code, out } = await lint(policy('team-a', 'base: Deny'));
    expect(code).toBe(0);
    expect(out).toContain('warning: spec.clients: nobody may ask for the names of the namespace');
    for (const clients of ['anonymous: Allow', 'keysFromSecrets: Allow'])
      expect((await lint(policy('team-a', `clients: {${clients}}`))).out).not.toContain('nobody may ask');
  });
});
