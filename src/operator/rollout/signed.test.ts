import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { inUseFinalizer } from '../reconcile/uses.ts';
import { digestOf, RolloutWorld, steps } from './world.fixture.ts';

const old = aKeyPair();
const missing = new AdaptletError('SIGNATURE_MISSING', 'there is none');

/** A world in which these Adapters are signed, as long as they are in the set. */
const start = (...names: readonly string[]) => {
  const signed = new Set(names);
  const world = new RolloutWorld('a');
  world.verify = async (_, { image }) => {
    if (signed.has(image.slice(-2))) return { signers: ['old'] };
    throw missing;
  };
  for (const name of ['v1', 'v2']) {
    const source = { oci: { image: `registry.example/sql:${name}` } };
    world.cluster.apply(anAdapter({ name }, { source, digest: digestOf(name) }), {
      finalizers: [inUseFinalizer],
    });
  }
  const policy = (required: boolean) =>
    world.cluster.apply(aPolicy('team-a', { signatures: { required, ...signersOf({ old }) } }));
  policy(true);
  return { world, signed, policy };
};
const settle = async (world: RolloutWorld, ms = 0) => {
  world.advance(ms);
  // What a registry answers comes between two looks.
  for (let look = 0; look < 8; look++) {
    world.advance(1000);
    await world.settle();
    await setImmediate();
  }
};
const serve = async (world: RolloutWorld, name: string) => {
  world.state(name, 'Resident').sync();
  await settle(world);
};

describe('a rollout', () => {
  it('does not begin with an adapter that is not signed, says why, and begins once it is', async () => {
    const { world, signed } = start();
    world.spec({ adapter: 'v1' });
    await settle(world);
    expect(world.status.stable).toBeUndefined();
    expect(world.status.message).toContain('SIGNATURE_MISSING: there is none');
    signed.add('v1');
    await settle(world, 300_000);
    await serve(world, 'v1');
    expect(world.status.stable?.adapter).toBe('v1');
  });

  it('begins no canary that is not signed, and stable goes on', async () => {
    const { world } = start('v1');
    world.spec({ adapter: 'v1', ...steps(10) });
    await settle(world);
    await serve(world, 'v1');
    world.spec({ adapter: 'v2' });
    await settle(world);
    expect([world.status.canary, world.status.stable?.adapter]).toEqual([undefined, 'v1']);
    expect(world.status.message).toContain('SIGNATURE_MISSING');
  });

  it('does not go back to what is signed no more', async () => {
    const { world, signed } = start('v1', 'v2');
    world.spec({ adapter: 'v1', ...steps() });
    await settle(world);
    await serve(world, 'v1');
    world.spec({ adapter: 'v2' });
    await settle(world);
    await serve(world, 'v2');
    expect(world.status.history.map(({ adapter }) => adapter)).toContain('v1');
    signed.delete('v1');
    // Another leader knows nothing of before.
    world.takeOver();
    world.spec({ adapter: 'v1' });
    await settle(world);
    expect(world.status.stable?.adapter).toBe('v2');
    expect(world.status.message).toContain('SIGNATURE_MISSING');
  });

  /** v2 is stable, v1 was before it, and another leader has begun. */
  const settledOnV2 = async (...names: readonly string[]) => {
    const started = start('v1', 'v2');
    const { world, signed } = started;
    for (const name of ['v1', 'v2']) {
      world.spec({ adapter: name, ...steps() });
      await settle(world);
      await serve(world, name);
    }
    expect(world.status).toMatchObject({ stable: { adapter: 'v2' }, history: [{ adapter: 'v1' }] });
    signed.clear();
    for (const name of names) signed.add(name);
    world.takeOver();
    return started;
  };

  it('is not rolled back by hand to what is signed no more', async () => {
    const { world } = await settledOnV2('v2');
    world.cluster.apply(aPolicy('team-a', { signatures: { required: true, ...signersOf({ old }) } }));
    world.ask('promote@a');
    await settle(world);
    await settle(world);
    world.ask('rollback@b');
    await settle(world);
    expect(world.status.stable?.adapter).toBe('v2');
    expect(world.status.lastRefusal).toContain('rollback: v1 would not serve: SIGNATURE_MISSING');
  });

  it('is rolled back by hand at once while no registry says whether that is signed', async () => {
    const { world } = await settledOnV2('v2');
    world.verify = () => new Promise(() => undefined);
    world.ask('rollback@b');
    await settle(world);
    expect(world.status.stable?.adapter).toBe('v1');
  });

  it('does not go back to what its policy allows no more, by its spec or by hand', async () => {
    const { world } = await settledOnV2('v1', 'v2');
    const sources = { registries: ['registry.example/other'] };
    world.cluster.apply(aPolicy('team-a', { sources }));
    world.ask('rollback@b');
    await settle(world);
    expect(world.status.stable?.adapter).toBe('v2');
    expect(world.status.lastRefusal).toContain('rollback: v1 would not serve: SOURCE_NOT_ALLOWED');
    world.spec({ adapter: 'v1' });
    await settle(world);
    await serve(world, 'v1');
    expect(world.status.stable?.adapter).toBe('v2');
    expect(world.status.message).toContain('SOURCE_NOT_ALLOWED');
  });

  it('begins where the policy only watches', async () => {
    const { world, policy } = start();
    policy(false);
    world.spec({ adapter: 'v1' });
    await settle(world);
    await serve(world, 'v1');
    expect(world.status.stable?.adapter).toBe('v1');
  });
});
