import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import type { WorkAtEnd } from '../engine/engine.ts';
import { adapter, canaryPlan, dataPathOver, good, next, planOf, split } from './data-path.fixture.ts';

const engineDown = new AdaptletError('ENGINE_DOWN', 'The engine process 7 was ended by SIGKILL');

const foreign = adapterResource(objectKey('other', 'foreign'));

/** All requests go to the canary; two errors in a row hold it. */
const world = (plan = canaryPlan) => {
  const made = dataPathOver(plan, { good, next });
  const { state, guard } = made;
  /** Who gets the next requests ends the engine. */
  const kills = (failing?: 'good' | 'next') => {
    state.fail = engineDown;
    state.failing = failing === undefined ? undefined : `default/${failing}--x`;
    state.onFail = () => guard.engineDied(new Map(made.running));
  };
  const answers = () => {
    state.fail = undefined;
  };
  const codeOf = async (model: string, user?: string): Promise<string> =>
    await made.ask(model, user).then(
      () => 'OK',
      (error: unknown) => (error instanceof AdaptletError ? error.code : 'unknown'),
    );
  /** Callers of these users leave while the engine has their requests; it works on those until it ends. */
  const leave = async (...users: readonly string[]): Promise<WorkAtEnd> => {
    state.admits = false;
    const before = made.asked.length;
    for (const user of users) {
      const leaving = new AbortController();
      const answer = made.ask('sql', user, leaving.signal);
      await setImmediate();
      leaving.abort(new Error('left'));
      await expect(answer).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    }
    const left = made.asked.slice(before);
    return new Map(left.map(({ requestId, engineName }) => [requestId, { engineName, events: 0 }]));
  };
  return { ...made, kills, answers, codeOf, leave };
};

describe('a request that ends the engine', () => {
  it('is refused when it comes a third time, before the engine has it; others are not', async () => {
    const { kills, answers, codeOf, asked, path } = world(planOf(adapter('good')));
    kills();
    expect([await codeOf('good'), await codeOf('good'), await codeOf('good')]).toEqual([
      'ENGINE_DOWN',
      'ENGINE_DOWN',
      'INPUT_ENDS_ENGINE',
    ]);
    expect(asked).toHaveLength(2);
    answers();
    expect([await codeOf('good'), await codeOf('good', 'u2')]).toEqual(['INPUT_ENDS_ENGINE', 'OK']);
    expect(path.inEngine).toBe(0);
  });

  it('is refused when it comes a third time, also where its caller left each time before the engine ended', async () => {
    const { state, asked, path, request, guard, clock } = world(planOf(adapter('good')));
    const context = { namespace: 'default', model: 'good', user: 'u1', headers: new Map() };
    state.admits = false;
    for (let time = 0; time < 2; time += 1) {
      const leaving = new AbortController();
      const answer = path.generate(context, request, leaving.signal);
      await setImmediate();
      leaving.abort(new Error('left'));
      await expect(answer).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
      clock.advance(30_000);
      const { requestId = '', engineName = null } = asked.at(-1) ?? {};
      guard.engineDied(new Map([[requestId, { engineName, events: 0 }]]));
    }
    await expect(path.generate(context, request, new AbortController().signal)).rejects.toMatchObject({
      code: 'INPUT_ENDS_ENGINE',
    });
    expect(asked).toHaveLength(2);
    expect(path.inEngine).toBe(0);
  });

  it('with any prompt of a list is refused the third time, with the whole list', async () => {
    const { kills, state, answers, path, request, asked } = world(planOf(adapter('good')));
    const [second, third] = ['b', 'c'].map((text) => ({ kind: 'text', text }) as const);
    const several = { ...request, morePrompts: [second, third].filter((one) => one !== undefined) };
    const context = { namespace: 'default', model: 'good', user: 'u1', headers: new Map() };
    const codeOf = async (): Promise<string> => {
      answers();
      // All but the first prompt meet an engine that ends.
      state.onFirst = kills;
      try {
        const { events } = await path.generate(context, several, new AbortController().signal);
        await Array.fromAsync(events);
        return 'OK';
      } catch (error) {
        return error instanceof AdaptletError ? error.code : 'unknown';
      }
    };
    expect([await codeOf(), await codeOf(), await codeOf()]).toEqual([
      'ENGINE_DOWN',
      'ENGINE_DOWN',
      'INPUT_ENDS_ENGINE',
    ]);
    expect(asked.length).toBeGreaterThan(2);
    expect(path.inEngine).toBe(0);
  });

  it('has its turn until it is further than before: no other suspect is there when it ends the engine again', async () => {
    const { state, answers, path, request, guard, arrive, running } = world(planOf(adapter('good')));
    arrive(foreign);
    const never = new AbortController().signal;
    const deadly = { namespace: 'default', model: 'good', user: 'u1', headers: new Map() };
    const innocent = { namespace: 'other', model: 'foreign', user: 'u2', headers: new Map() };
    const codeOf = async (generation: ReturnType<typeof path.generate>): Promise<string> =>
      await generation
        .then(async ({ events }) => await Array.fromAsync(events))
        .then(
          () => 'OK',
          (error: unknown) => (error instanceof AdaptletError ? error.code : 'unknown'),
        );
    // Both are answered when the engine ends with the second token of one of them.
    state.failAfterFirst = true;
    state.fail = engineDown;
    state.onEnd = () => guard.engineDied(new Map(running));
    const beside = await path.generate(innocent, request, never);
    expect(await codeOf(path.generate(deadly, request, never))).toBe('ENGINE_DOWN');
    expect(await codeOf(Promise.resolve(beside))).toBe('ENGINE_DOWN');
    const again = await path.generate(deadly, request, never);
    answers();
    const waiting = path.generate(innocent, request, never);
    await setImmediate();
    expect(running.size).toBe(1);
    await expect(Array.fromAsync(again.events)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
    expect(await codeOf(waiting)).toBe('OK');
    expect(await codeOf(path.generate(deadly, request, never))).toBe('INPUT_ENDS_ENGINE');
    expect(path.inEngine).toBe(0);
  });

  it('is forgiven once it is answered', async () => {
    const { kills, answers, codeOf } = world(planOf(adapter('good')));
    for (let round = 0; round < 3; round += 1) {
      kills();
      expect(await codeOf('good')).toBe('ENGINE_DOWN');
      answers();
      expect(await codeOf('good')).toBe('OK');
    }
  });

  it('counts against a canary while it happens to that one only', async () => {
    const { kills, codeOf, holds, counts } = world();
    kills('next');
    await codeOf('sql', 'u1');
    expect(holds.all()).toEqual([]);
    expect(await codeOf('sql', 'u2')).toBe('OK');
    expect(holds.all()).toMatchObject([{ digest: next, cause: 'Guard' }]);
    expect(counts.ofRollout('default/sql' as never).stable).toBe(1);
  });

  it.each([
    ['a canary', 100, next],
    ['a stable', 0, good],
  ])('counts against %s whose callers all left before, once for each end', async (_, weight, digest) => {
    const { leave, guard, holds, arrive, counts } = world();
    arrive(split(weight));
    guard.engineDied(await leave('u1', 'u2'));
    await setImmediate();
    expect(holds.all()).toEqual([]);
    guard.engineDied(await leave('u3'));
    // What is asked of it now fails with the end itself: a hold would withdraw that first.
    expect(holds.all()).toEqual([]);
    await setImmediate();
    expect(holds.all()).toMatchObject([{ digest, cause: 'Guard' }]);
    expect(holds.all()[0]?.reason).toContain('whose caller had left');
    expect(counts.ofRollout('default/sql' as never)).toMatchObject({ canary: 0, stable: 0 });
  });

  it('counts once against a canary some of whose callers left before', async () => {
    const { leave, kills, codeOf, guard, holds, state, running } = world();
    const left = await leave('u1');
    state.admits = true;
    kills('next');
    state.onFail = () => guard.engineDied(new Map([...left, ...running]));
    await codeOf('sql', 'u2');
    expect(holds.all()).toEqual([]);
  });

  it('counts against no version whose callers left where others were there, or the engine was done with it', async () => {
    const { leave, guard, holds } = world();
    for (let death = 0; death < 3; death += 1) {
      const left = await leave(`beside${death}`);
      guard.engineDied(new Map([...left, ['stable', { engineName: 'default/good--x', events: 3 }]]));
    }
    for (let death = 0; death < 3; death += 1) {
      await leave(`done${death}`);
      guard.engineDied(new Map([['another', { engineName: 'default/next--x', events: 3 }]]));
    }
    await setImmediate();
    expect(holds.all()).toEqual([]);
  });

  it('counts against no version once it happened to another one', async () => {
    const { kills, codeOf, holds, arrive } = world();
    kills();
    arrive(split(0));
    expect(await codeOf('sql', 'u1')).toBe('ENGINE_DOWN');
    arrive(split(100));
    // The canary gets what ended the engine for stable, then something of its own: one error.
    expect(await codeOf('sql', 'u1')).toBe('ENGINE_DOWN');
    expect(await codeOf('sql', 'u2')).toBe('ENGINE_DOWN');
    expect(holds.all()).toEqual([]);
    expect(await codeOf('sql', 'u1')).toBe('INPUT_ENDS_ENGINE');
    await codeOf('sql', 'u3');
    expect(holds.all()).toMatchObject([{ digest: next, cause: 'Guard' }]);
  });

  it('is given to one more version at most', async () => {
    const { kills, codeOf, asked, holds } = world();
    kills();
    // One error of the canary before: with this one it is held, and stable is asked.
    await codeOf('sql', 'u1');
    expect(await codeOf('sql', 'u2')).toBe('ENGINE_DOWN');
    expect(asked.map(({ engineName }) => engineName)).toEqual([
      'default/next--x',
      'default/next--x',
      'default/good--x',
    ]);
    expect(holds.all()).toMatchObject([{ digest: next }]);
  });

  it('in a step that both versions share counts against neither of them, however many requests of each fail', async () => {
    const { path, request, guard, holds, arrive, running, state } = world();
    const never = new AbortController().signal;
    state.fail = engineDown;
    state.failAfterFirst = true;
    for (let death = 0; death < 3; death += 1) {
      const begun: AsyncIterable<unknown>[] = [];
      for (const weight of [0, 100]) {
        arrive(split(weight));
        for (const user of ['a', 'b']) {
          const context = {
            namespace: 'default',
            model: 'sql',
            user: `${user}${weight}${death}`,
            headers: new Map(),
          };
          const { events } = await path.generate(context, request, never);
          begun.push(events);
        }
      }
      guard.engineDied(new Map(running));
      for (const events of begun)
        await expect(Array.fromAsync(events)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
    }
    expect(holds.all()).toEqual([]);
    for (let death = 0; death < 2; death += 1) {
      const context = { namespace: 'default', model: 'sql', user: `alone${death}`, headers: new Map() };
      const { events } = await path.generate(context, request, never);
      guard.engineDied(new Map(running));
      await expect(Array.fromAsync(events)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
    }
    expect(holds.all()).toMatchObject([{ digest: next, cause: 'Guard' }]);
  });

  it('of one namespace does not count against the canary of another, and is refused the third time', async () => {
    const { path, request, state, guard, holds, arrive, codeOf, running } = world();
    arrive(foreign);
    // The canary of the other namespace is answering when the engine ends.
    const engineOf = async (model: string, namespace: string): Promise<string> => {
      const signal = new AbortController().signal;
      const asked = { namespace, model, user: 'x', headers: new Map() };
      return await path.generate(asked, request, signal).then(
        async ({ events }) => {
          await Array.fromAsync(events);
          return 'OK';
        },
        (error: unknown) => (error instanceof AdaptletError ? error.code : 'unknown'),
      );
    };
    state.fail = engineDown;
    state.onFail = () => guard.engineDied(new Map(running));
    for (let death = 0; death < 2; death += 1) {
      state.failAfterFirst = true;
      const signal = new AbortController().signal;
      const own = { namespace: 'default', model: 'sql', user: `u${death}`, headers: new Map() };
      const begun = await path.generate(own, request, signal);
      state.failAfterFirst = false;
      expect(await engineOf('foreign', 'other')).toBe('ENGINE_DOWN');
      await expect(Array.fromAsync(begun.events)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
    }
    expect(holds.all()).toEqual([]);
    expect(await engineOf('foreign', 'other')).toBe('INPUT_ENDS_ENGINE');
    state.fail = undefined;
    expect(await codeOf('sql', 'u9')).toBe('OK');
  });
});

describe('a caller who ends the engine with another input each time', () => {
  /** The answer to what this credential asks, which differs each time. */
  const asking = ({ path, request }: ReturnType<typeof world>) => {
    let asked = 0;
    return async (caller: string, model: string, user = 'u1'): Promise<string> => {
      const context = { namespace: 'default', model, caller, user, headers: new Map() };
      const prompt = { kind: 'text', text: `try ${(asked += 1)}` } as const;
      try {
        const { events } = await path.generate(context, { ...request, prompt }, new AbortController().signal);
        await Array.fromAsync(events);
        return 'OK';
      } catch (error) {
        return error instanceof AdaptletError ? error.code : 'unknown';
      }
    };
  };

  it('is refused the third time, before the engine has it; others are not', async () => {
    const made = world(planOf(adapter('good')));
    const codeOf = asking(made);
    expect(await codeOf('default/good', 'good')).toBe('OK');
    made.kills();
    const asked = made.asked.length;
    expect([
      await codeOf('default/bad', 'good'),
      await codeOf('default/bad', 'good'),
      await codeOf('default/bad', 'good'),
    ]).toEqual(['ENGINE_DOWN', 'ENGINE_DOWN', 'CALLER_ENDS_ENGINE']);
    expect(made.asked).toHaveLength(asked + 2);
    made.answers();
    expect(await codeOf('default/bad', 'good')).toBe('CALLER_ENDS_ENGINE');
    expect([await codeOf('default/bad', 'good', 'u2'), await codeOf('default/good', 'good')]).toEqual([
      'OK',
      'OK',
    ]);
    expect(made.path.inEngine).toBe(0);
  });

  it('is not charged with what a canary does', async () => {
    const made = world();
    made.guard.follow(new Map([['r1', { guard: { maxConsecutiveErrors: 3 } }]]));
    const codeOf = asking(made);
    expect(await codeOf('default/good', 'sql')).toBe('OK');
    made.kills('next');
    const codes: string[] = [];
    for (let ask = 0; ask < 4; ask += 1) codes.push(await codeOf('default/bad', 'sql'));
    expect(codes).not.toContain('CALLER_ENDS_ENGINE');
    expect(made.holds.all()).toMatchObject([{ digest: next, cause: 'Guard' }]);
  });
});
