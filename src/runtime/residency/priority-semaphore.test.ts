import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { Entry } from './entry.ts';
import { never, settle } from './fake-ports.ts';
import { PrioritySemaphore } from './priority-semaphore.ts';

const entryOf = (namespace: string, name: string, engineDeaths = 0): Entry => {
  const resource = versioned(adapterResource(objectKey(namespace, name), { priority: 1 }));
  return Object.assign(new Entry(resource, true, undefined), { engineDeaths });
};

it('a namespace leaves a place to the others, whatever its adapters did, and has more turns when some end', async () => {
  const semaphore = new PrioritySemaphore(3, 2);
  const running = new Map<string, () => void>();
  const run = (entry: Entry) =>
    semaphore.run(entry, never(), () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      running.set(entry.key, resolve);
      return promise;
    });
  const all = ['1', '2', '3'].map((name) => run(entryOf('evil', name)));
  const suspect = run(entryOf('evil', 'suspect', 1));
  await settle();
  all.push(run(entryOf('good', '1')));
  await settle();
  expect([...running.keys()]).toEqual(['evil/1', 'evil/2', 'good/1']);
  for (const name of ['evil/1', 'evil/2', 'good/1']) running.get(name)?.();
  await settle();
  for (const end of running.values()) end();
  await settle();
  for (const end of running.values()) end();
  await Promise.all([...all, suspect]);
  expect(running.size).toBe(5);
});
