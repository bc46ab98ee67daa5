import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../support/cli.ts';
import { codeBlocks } from '../support/code-blocks.ts';
import { TestNode } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { type ProgramResult, runProgram } from '../support/program.ts';
import { hasRegistry, TestRegistry } from '../support/registry.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

let registry: TestRegistry;
const root = folderOfTests();
/** The private and the public file of a key. */
const keyFiles = (name: string) => ({ key: join(root, `${name}.key`), pub: join(root, `${name}.pub`) });
const makeKey = async (name: string) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const files = keyFiles(name);
  await writeFile(files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(files.pub, publicKey.export({ type: 'spki', format: 'pem' }));
  return files;
};
const at = (image: string): string => `${registry.host}/${image}`;
const sign = async (image: string, key: string): Promise<void> => {
  expect(await adaptlet('sign', at(image), '--key', key)).toMatchObject({ code: 0, stderr: '' });
};
const verify = (image: string, ...keys: readonly string[]): Promise<ProgramResult> =>
  adaptlet('verify', at(image), '--json', ...keys.flatMap((key) => ['--key', key]));
const verdict = async (image: string, ...keys: readonly string[]) => {
  const { stdout, stderr, code } = await verify(image, ...keys);
  expect(stderr).toBe('');
  const found = JSON.parse(stdout) as { verified: boolean; code?: string; signer?: string };
  expect(code).toBe(found.verified ? 0 : 1);
  return found.verified ? `signed by ${found.signer}` : found.code;
};

describe.skipIf(!hasRegistry)('signed adapters (needs go to build the registry and oras)', () => {
  let old: ReturnType<typeof keyFiles>;
  let next: ReturnType<typeof keyFiles>;

  beforeAll(async () => {
    registry = await TestRegistry.start();
    [old, next] = [await makeKey('old'), await makeKey('next')];
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  it.each([
    ['lists referrers', true],
    ['keeps them under a tag', false],
  ])('are verified by the key that signed them, and by no other, where the registry %s', async (_, has) => {
    registry.hasReferrersApi = has;
    const image = `team/sql:${has}`;
    await registry.push(image, 'upper', image);
    expect(await verdict(image, old.pub)).toBe('SIGNATURE_MISSING');
    await sign(image, old.key);
    expect(await verdict(image, old.pub)).toBe(`signed by ${old.pub}`);
    expect(await verdict(image, next.pub)).toBe('SIGNATURE_UNTRUSTED');
    expect(await verdict(image, next.pub, old.pub)).toBe(`signed by ${old.pub}`);
    await sign(image, next.key);
    expect(await verdict(image, next.pub)).toBe(`signed by ${next.pub}`);
    expect(await verdict(image, old.pub)).toBe(`signed by ${old.pub}`);
  });

  it('are verified also where the flags come first, as cosign has them', async () => {
    registry.hasReferrersApi = true;
    const verified = await adaptlet('verify', '--key', old.pub, at('team/sql:true'));
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining(`is signed by ${old.pub}`) });
  });

  it('say in words what is wrong with a key', async () => {
    expect(await adaptlet('sign', at('team/sql:true'), '--key', old.pub)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is no private key'),
    });
    expect(await adaptlet('verify', at('team/sql:true'), '--key', old.key)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${old.key} must be a public key in PEM`),
    });
    expect((await adaptlet('verify', at('team/sql:true'))).stderr).toContain('Give --key cosign.pub');
  });

  it('are signed by the words of docs/how-to/sign-adapters.md', async () => {
    const page = await readFile(join(repositoryRoot, 'docs/how-to/sign-adapters.md'), 'utf8');
    const scripts = codeBlocks(page, 'sh');
    expect(scripts.length).toBeGreaterThan(1);
    await registry.push('team-a/sql:v2', 'hello');
    const cwd = join(root, 'page');
    await mkdir(cwd);
    const script = scripts.join('').replaceAll('registry.example', registry.host);
    const env = { PATH: `${join(repositoryRoot, 'bin')}:${process.env['PATH'] ?? ''}` };
    const { code, stdout } = await runProgram('bash', ['-ec', script], { cwd, env });
    expect(code).toBe(0);
    expect(stdout).toContain('is signed by cosign.pub');
  });

  it('are served by a node, also after a restart without the registry, until their key is taken away', async () => {
    await registry.push('team/signed:v1', 'upper');
    await registry.push('team/unsigned:v1', 'hello');
    await sign('team/signed:v1', old.key);
    const folder = join(root, 'node');
    let node = await TestNode.start({ folder });
    const policy = async (...names: readonly string[]): Promise<void> => {
      const keys = await Promise.all(
        names.map(async (name) => ({ name, publicKey: await readFile(keyFiles(name).pub, 'utf8') })),
      );
      const spec = { clients: { anonymous: 'Allow' }, signatures: { keys } };
      const kind = { apiVersion: 'adaptlet.io/v1alpha1', kind: 'AdapterPolicy' };
      await node.write('policy.yaml', JSON.stringify({ ...kind, metadata: { name: 'default' }, spec }));
    };
    const adapter = (name: string): string =>
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {oci: {image: "${at(`team/${name}:v1`)}"}}\n  preload: {tier: Memory}\n---\n`;
    const stateOf = async (name: string) => {
      const { adapters } = await node.client.status();
      const found = adapters.find(({ key }) => key.endsWith(`/${name}`));
      return `${found?.state} ${found?.reason ?? ''}`;
    };
    const waitForState = (name: string, text: string) =>
      waitFor(`${name}: ${text}`, async () => (await stateOf(name)).includes(text));
    try {
      await policy('old');
      await node.write('adapters.yaml', adapter('signed') + adapter('unsigned'));
      await waitForState('signed', 'Resident');
      await waitForState('unsigned', 'SIGNATURE_MISSING');
      expect((await node.client.ask({ model: 'signed', prompt: 'moon:' })).text).toBe(' MOON!');
      await expect(node.client.ask({ model: 'unsigned', prompt: 'moon:' })).rejects.toThrow(
        'SIGNATURE_MISSING',
      );
      registry.shut();
      await node.end();
      node = await TestNode.start({ folder });
      await waitForState('signed', 'Resident');
      await policy('old', 'next');
      expect((await node.client.ask({ model: 'signed', prompt: 'moon:' })).text).toBe(' MOON!');
      await policy('next');
      await waitForState('signed', 'REGISTRY_UNAVAILABLE');
      registry.open();
      await sign('team/signed:v1', next.key);
      await waitForState('signed', 'Resident');
      expect((await node.client.ask({ model: 'signed', prompt: 'moon:' })).text).toBe(' MOON!');
    } finally {
      registry.open();
      await node.end();
    }
  });
});
