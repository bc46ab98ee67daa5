import { expect, it, vi } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Tables, type TableWish } from './tables.ts';

const digest = fakeDigest('c');
const by = (secret: string): TableWish => ({
  key: 'team-a/r/intent' as ObjectKey,
  uid: 'u',
  source: { oci: { image: 'r.io/intent:v1', pullSecretRef: { name: secret } } },
  digest,
});

it('what is lost while a try is under way is tried no second time once that one brings it', async () => {
  const clock = new FakeClock();
  const fetches: PromiseWithResolvers<void>[] = [];
  let reads = 0;
  const tables = new Tables<{ readonly bytes: number }>({
    artifacts: {
      fetch: async () => {
        const fetching = Promise.withResolvers<void>();
        fetches.push(fetching);
        await fetching.promise;
        return { digest, bytes: 1 };
      },
      verify: async () => undefined,
      checkSigned: async () => undefined,
      quarantine: async () => undefined,
      folder: () => 'folder',
    },
    read: async () => ({ bytes: (reads += 1) }),
    clock,
    log: silentLog,
    random: () => 0,
    changed: () => undefined,
  });
  tables.follow([by('login')]);
  fetches[0]?.resolve();
  await tables.settled();
  tables.follow([by('other')]);
  const kept = tables.state(by('other'));
  if (!('table' in kept)) expect.fail('it was not kept');
  const warn = vi.spyOn(silentLog, 'warn');
  tables.lost(kept.table, new AdaptletError('ENGINE_DOWN', 'it is gone'));
  expect(warn).toHaveBeenCalledWith(expect.anything(), 'the artifact of a classifier is not here');
  expect(tables.state(by('other'))).toMatchObject({
    reason: expect.stringContaining('it is gone') as string,
  });
  // Its retry is due while the try goes on.
  clock.advance(300_000);
  expect(fetches).toHaveLength(2);
  fetches[1]?.resolve();
  await tables.settled();
  expect(tables.state(by('other'))).toEqual({ table: { bytes: 2 } });
  clock.advance(300_000);
  tables.retryFailed('ENGINE_DOWN');
  expect(fetches).toHaveLength(2);
  warn.mockRestore();
  tables.close();
});
