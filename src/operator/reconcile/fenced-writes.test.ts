import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { anAdapter } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { FencedWrites } from './fenced-writes.ts';

const start = () => {
  const cluster = new FakeCluster();
  const clock = new FakeClock();
  const key = cluster.apply(anAdapter({ name: 'v1' }));
  let epoch = 1;
  const term = { epoch: 1, since: 0, fence: () => epoch };
  const writes = new FencedWrites('Adapter', { clock, term, writer: cluster.writer });
  const read = () => {
    const found = cluster.adapters.get(key);
    if (found === undefined) throw new Error('not there');
    return found;
  };
  const write = () =>
    writes.write(read(), (writer, of) => writer.setFinalizers(of, ['x'], new AbortController().signal));
  return { cluster, clock, key, writes, read, write, nextTerm: () => (epoch = 2) };
};

const readyStatus = {
  observedGeneration: 1,
  runtimes: { desired: 2, stored: 2, resident: 2, serving: 2, failed: 0 },
  failures: [],
  conditions: [],
};

describe('writes', () => {
  it('leave the cache behind until it shows them', async () => {
    const { cluster, writes, read, write } = start();
    cluster.adapters.lags = true;
    expect(await write()).toBe('Written');
    expect(writes.isBehind(read())).toBe(true);
    cluster.adapters.catchUp();
    expect(writes.isBehind(read())).toBe(false);
  });

  it('that lost a race leave it behind too, for ten seconds at most', async () => {
    const { cluster, clock, writes, read, write } = start();
    cluster.adapters.lags = true;
    cluster.apply(anAdapter({ name: 'v1' }));
    expect(await write()).toBe('Conflict');
    clock.advance(9999);
    expect(writes.isBehind(read())).toBe(true);
    clock.advance(1);
    expect(writes.isBehind(read())).toBe(false);
  });

  it('of a status that changes nothing leave the version as it is, and are made once', async () => {
    const { cluster, writes, read } = start();
    cluster.unknownFields.add('columns');
    const { signal } = new AbortController();
    const first = { ...readyStatus, columns: { resident: '1/2' } };
    const second = { ...readyStatus, columns: { resident: '2/2' } };
    for (const status of [first, first, first, first, second, second]) {
      expect(await writes.replaceStatus(read(), status, signal)).toBe('Written');
      expect(writes.isBehind(read())).toBe(false);
    }
    // The first one is news, then the server drops what it does not know, and is not asked again.
    expect(cluster.writes.map(({ status }) => status)).toEqual([first, first, second]);
    cluster.apply(anAdapter({ name: 'v1' }));
    await writes.replaceStatus(read(), second, signal);
    expect(cluster.writes).toHaveLength(4);
  });

  it('say that the object is gone', async () => {
    const { cluster, key, write } = start();
    cluster.adapters.server.delete(key);
    expect(await write()).toBe('Gone');
  });

  it('throw what else goes wrong, and do not take the version for replaced', async () => {
    const { cluster, writes, read, write } = start();
    cluster.failures.push(new AdaptletError('KUBE_FORBIDDEN', 'no'));
    await expect(write()).rejects.toMatchObject({ code: 'KUBE_FORBIDDEN' });
    expect(writes.isBehind(read())).toBe(false);
  });

  it('are not made in a later term, although this process leads again', async () => {
    const { cluster, write, nextTerm } = start();
    nextTerm();
    await expect(write()).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect(cluster.writes).toEqual([]);
  });
});
