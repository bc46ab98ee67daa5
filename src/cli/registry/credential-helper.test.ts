import { chmod, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { askCredentialHelper } from './credential-helper.ts';

let root: string;
let config: string;
beforeEach(() => {
  root = folderOfTest();
  config = join(root, 'config.json');
  vi.stubEnv('PATH', `${root}${delimiter}${process.env['PATH'] ?? ''}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const write = (value: object): Promise<void> => writeFile(config, JSON.stringify(value));

/** A program docker-credential-NAME; `$server` is what it was asked for. */
const helper = async (name: string, script: string): Promise<void> => {
  const path = join(root, `docker-credential-${name}`);
  await writeFile(path, `#!/bin/sh\nread -r server || true\n${script}\n`);
  await chmod(path, 0o755);
};

const answers = (user: string, secret: string): string =>
  `echo '{"Username":"${user}","Secret":"${secret}"}'`;

describe('a credential helper', () => {
  it('of the registry is asked, with get and the registry, before that of all', async () => {
    await helper('own', `echo "$1 $server" > ${root}/asked; ${answers('u', 'p')}`);
    await helper('all', answers('all', 'x'));
    await write({ credsStore: 'all', credHelpers: { 'registry.example': 'own' } });
    expect(await askCredentialHelper(config, 'registry.example')).toEqual({ username: 'u', password: 'p' });
    expect(await readFile(join(root, 'asked'), 'utf8')).toBe('get registry.example\n');
    expect(await askCredentialHelper(config, 'other.example')).toEqual({ username: 'all', password: 'x' });
  });

  it("is asked for Docker's registry under the name that docker login has", async () => {
    await helper('all', `echo "$server" > ${root}/asked; ${answers('u', 'p')}`);
    await write({ credsStore: 'all' });
    await askCredentialHelper(config, 'docker.io');
    expect(await readFile(join(root, 'asked'), 'utf8')).toBe('https://index.docker.io/v1/\n');
  });

  it('may have an identity token, which docker marks by its user', async () => {
    await helper('all', answers('<token>', 'refresh'));
    await write({ credsStore: 'all' });
    expect(await askCredentialHelper(config, 'registry.example')).toEqual({ identityToken: 'refresh' });
  });

  it('may have nothing, and there may be none', async () => {
    await helper('all', 'echo "credentials not found in native keychain"; exit 1');
    await write({ credsStore: 'all' });
    expect(await askCredentialHelper(config, 'registry.example')).toBeUndefined();
    await write({ auths: {} });
    expect(await askCredentialHelper(config, 'registry.example')).toBeUndefined();
    expect(await askCredentialHelper(join(root, 'none.json'), 'registry.example')).toBeUndefined();
  });

  it.each(['../evil', 'a b', 'x;touch', 'UPPER'])('named %s is not run', async (name) => {
    await write({ credHelpers: { 'registry.example': name } });
    const asked = askCredentialHelper(config, 'registry.example');
    await expect(asked).rejects.toThrow('names the credential helper');
  });

  it.each([
    ['is not there', undefined, 'is not on the PATH'],
    ['fails', 'echo "the keychain is locked"; exit 2', 'the keychain is locked'],
    ['hangs', 'exec sleep 60', 'gave no answer in 1 s'],
    ['answers something else', 'echo "{}"', 'not known'],
  ])('that %s is an error that says so', async (_, script, message) => {
    if (script !== undefined) await helper('all', script);
    await write({ credsStore: 'all' });
    const ask = () => askCredentialHelper(config, 'registry.example', 1000);
    await expect(ask()).rejects.toThrow(message);
    expect(await codeOf(ask)).toBe('CREDENTIALS_INVALID');
  });

  it('does not let what it answered into a message', async () => {
    await helper('all', `echo '{"Secret":"hunter2"}'`);
    await write({ credsStore: 'all' });
    await expect(askCredentialHelper(config, 'registry.example')).rejects.not.toThrow('hunter2');
  });
});
