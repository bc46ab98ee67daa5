import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { objectKey } from '../../api/names.ts';
import type { Plan } from '../../plan/resources.ts';
import { systemClock } from '../../time/clock.ts';
import { StandaloneController } from './controller.ts';
import { followFolder } from './follow.ts';
import { LoadedAdapters, loadedFile } from './loaded-adapters.ts';

const { signal } = new AbortController();
const sql = objectKey('default', 'sql');
const mail = objectKey('team-a', 'mail');
const head = 'apiVersion: adaptlet.io/v1alpha1';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

/** A node that follows a folder, with two import roots: `models` has sql and mail, `more` has sql and notes. */
const start = async () => {
  const root = folderOfTest();
  const [manifests, models, more] = ['manifests', 'models', 'more'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of ['models/sql', 'models/mail', 'more/sql', 'more/notes', 'elsewhere', 'manifests'])
    await mkdir(join(root, folder), { recursive: true });
  let plan: Plan = new Map();
  const controller = new StandaloneController(
    {
      clock: systemClock,
      logger: pino({ enabled: false }),
      runtime: { baseModel: 'tiny', labels: {} },
      memory: { write: async () => undefined },
      node: {
        adapter: () => undefined,
        holds: () => [],
        reports: () => new Map(),
        fits: () => ({ fits: true, message: '', unknown: [] }),
      },
      measure: () => Promise.reject(new Error('no server answers')),
      apply: (next) => {
        plan = next;
      },
    },
    undefined,
  );
  stack.defer(() => controller.close());
  stack.use(await followFolder(manifests, { controller, clock: systemClock, namespace: 'default' }));
  const parts = { controller, clock: systemClock, importRoots: [models, more], baseModel: 'tiny' };
  const loaded = new LoadedAdapters({ ...parts, folder: manifests });
  return { root, manifests, models, more, loaded, controller, keys: () => [...plan.keys()] };
};

it('what is loaded is in the plan once that is said, and no more once it was unloaded', async () => {
  const { loaded, models, manifests, keys } = await start();
  await loaded.add(sql, 'sql', signal);
  expect(keys()).toEqual(['AdapterSpec default/sql']);
  await loaded.add(mail, join(models, 'mail'), signal);
  expect(keys().toSorted()).toEqual(['AdapterSpec default/sql', 'AdapterSpec team-a/mail']);
  const text = await readFile(join(manifests, loadedFile), 'utf8');
  expect(text).toContain('"source":{"path":{"path":"mail"}}');
  await loaded.remove(sql, signal);
  expect(keys()).toEqual(['AdapterSpec team-a/mail']);
  // Also the last one, though a folder without a manifest changes nothing.
  await loaded.remove(mail, signal);
  expect(keys()).toEqual([]);
});

it('calls that come together are done one after the other, and none is lost', async () => {
  const { loaded, keys } = await start();
  await Promise.all([loaded.add(sql, 'sql', signal), loaded.add(mail, 'mail', signal)]);
  expect(keys().toSorted()).toEqual(['AdapterSpec default/sql', 'AdapterSpec team-a/mail']);
});

it('a name is loaded once, and one that failed keeps the next one from nothing', async () => {
  const { loaded, keys } = await start();
  await loaded.add(sql, 'sql', signal);
  await expect(loaded.add(sql, 'mail', signal)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    what: expect.stringContaining('has already been loaded'),
  });
  await loaded.add(mail, 'mail', signal);
  expect(keys()).toHaveLength(2);
});

it('what a person wrote is neither loaded anew nor unloaded', async () => {
  const { loaded, manifests, controller, keys } = await start();
  const own = `${head}\nkind: Adapter\nmetadata: {name: sql}\nspec: {baseModel: tiny, source: {path: {path: sql}}}\n`;
  const seen = new Promise<void>((resolve) => controller.onFolder(resolve));
  await writeFile(join(manifests, 'own.yaml'), own);
  await seen;
  const refusal = { code: 'VERB_REFUSED', what: expect.stringContaining('own.yaml') };
  await expect(loaded.add(sql, 'sql', signal)).rejects.toMatchObject(refusal);
  await expect(loaded.remove(sql, signal)).rejects.toMatchObject(refusal);
  expect(keys()).toEqual(['AdapterSpec default/sql']);
  await expect(loaded.remove(mail, signal)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
});

it.each<[string, (at: { root: string; models: string; more: string }) => string, string]>([
  ['a folder elsewhere', ({ root }) => join(root, 'elsewhere'), 'SOURCE_NOT_ALLOWED'],
  ['one elsewhere that is not there', () => '/nowhere/at/all', 'SOURCE_NOT_ALLOWED'],
  ['a way out', () => '../elsewhere', 'SOURCE_NOT_ALLOWED'],
  ['a link out', () => 'link', 'SOURCE_NOT_ALLOWED'],
  ['a folder that is not there', () => 'nothing', 'ARTIFACT_NOT_FOUND'],
  ['a name that no folder can have', () => 'a'.repeat(300), 'ARTIFACT_NOT_FOUND'],
  ['a path with a null byte', () => 'sql\0', 'SOURCE_NOT_ALLOWED'],
  ['the second of two of one name', ({ more }) => join(more, 'sql'), 'SOURCE_NOT_ALLOWED'],
  ['the root itself', ({ models }) => models, 'SOURCE_NOT_ALLOWED'],
])('%s is not loaded', async (_, pathIn, code) => {
  const node = await start();
  await symlink(join(node.root, 'elsewhere'), join(node.models, 'link'));
  await expect(node.loaded.add(sql, pathIn(node), signal)).rejects.toMatchObject({ code });
  expect(node.keys()).toEqual([]);
});

it('what a policy does not allow is said, and taken back', async () => {
  const { loaded, manifests, controller, keys } = await start();
  const seen = new Promise<void>((resolve) => controller.onFolder(resolve));
  const policy = `${head}\nkind: AdapterPolicy\nmetadata: {name: default, namespace: team-a}\nspec: {sources: {paths: [other]}}\n`;
  await writeFile(join(manifests, 'policy.yaml'), policy);
  await seen;
  await expect(loaded.add(mail, 'mail', signal)).rejects.toMatchObject({
    code: 'VERB_REFUSED',
    what: expect.stringContaining('SOURCE_NOT_ALLOWED'),
  });
  expect(await readFile(join(manifests, loadedFile), 'utf8')).not.toContain('mail');
  await loaded.add(sql, 'sql', signal);
  expect(keys()).toContain('AdapterSpec default/sql');
});

it('a file with something that no call wrote is left as it is', async () => {
  const { loaded, manifests } = await start();
  const own = `${head}\nkind: AdapterRollout\nmetadata: {name: r}\nspec: {adapter: sql, strategy: {canary: {steps: []}}}\n`;
  await writeFile(join(manifests, loadedFile), own);
  await expect(loaded.add(sql, 'sql', signal)).rejects.toMatchObject({ code: 'VERB_REFUSED' });
  expect(await readFile(join(manifests, loadedFile), 'utf8')).toBe(own);
});
