import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import { elsewhereToWire } from '../../control/rewards-wire.ts';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import { BaseModelReport, Report, RolloutReport } from '../../gen/adaptlet/control/v1/control.ts';
import { aRollout } from '../../plan/manifests.fixture.ts';
import { total } from '../../rollout/judge/counts.ts';
import { countersOf } from '../../rollout/judge/reports.ts';
import { maxRewarded } from '../../rollout/judge/rewarded.ts';
import { type Elsewhere, placeOf } from '../../rollout/judge/told-rewards.ts';
import { split } from '../../runtime/routing/plan.fixture.ts';
import { FeedbackKeys } from '../../runtime/serving/counts/feedback-keys.ts';
import { RolloutCounts } from '../../runtime/serving/counts/rollout-counts.ts';
import { reportSince, wholeReport } from '../../runtime/sync/report-diff.ts';
import type { Snapshot } from '../../runtime/sync/snapshot.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { rolloutsKnown, TestRelay } from '../fleet/relay.fixture.ts';
import { FleetStore, local, type Source } from '../fleet/store.ts';
import { changeFromWire } from '../fleet/update.ts';
import { saidOf } from '../reconcile/alike.ts';
import { aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { nothingKept } from '../testing/one-by-one.ts';
import { setOf } from '../testing/runtime-set.ts';
import { type AttemptCounts, attemptCountsOf } from './attempt-counts.ts';
import { digestOf, rolloutUid, sql } from './world.fixture.ts';

const nodes = ['a', 'b', 'c'] as const;
type Node = (typeof nodes)[number];
const digest = digestOf('v2');
const attempt = { uid: 'v2', digest, attempt: 1 };
const planned = split(sql, {
  uid: rolloutUid,
  canary: { adapter: 'v2', uid: 'v2', digest, seed: '00', attempt: 1 },
  weight: 5,
});
/** Rewards are powers of two: a sum of them tells which there were, and doubles keep so many apart. */
const maxAnswers = 50;
const smallest = 2 ** -25;

const requestAt = (weight: number, bucket: number) => {
  const counted = { attempt: 1, weight, bucket };
  const at = { key: objectKey('team-a', 'sql'), uid: rolloutUid, canaryDigest: digest, weight, counted };
  return { split: at, rollout: 'sql', arm: 'canary', digest } as const;
};

const newStore = () => new FleetStore({ clock: new FakeClock() });
/** A replica of an earlier version, which leaves out what it does not know. */
const earlier: Source = { name: 'earlier' };
const usage = { budgetBytes: 0n, usedBytes: 0n };

type Process = {
  readonly instance: string;
  readonly counts: RolloutCounts;
  /** What it told the replica in its present connection. Undefined: it has none. */
  told: Snapshot | undefined;
  connectionSeq: bigint;
};

/** Nodes that report to a replica, which relays to the leader. */
class Fleet {
  readonly #processes = new Map<Node, Process>();
  readonly #ids: string[] = [];
  readonly #replica = newStore();
  #leading = newStore();
  #relay = new TestRelay(this.#replica, this.#leading);
  #starts = 0;
  #connections = 0n;
  /** Answers with feedback that was taken in anywhere. */
  #told = 0n;
  #leader: AttemptCounts | undefined;

  constructor() {
    for (const node of nodes) this.restart(node);
  }

  restart(node: Node): void {
    this.#starts += 1;
    const instance = `process ${this.#starts}`;
    const keys = new FeedbackKeys({ own: 'a'.repeat(64), given: [] });
    const counts = new RolloutCounts(undefined, undefined, { instance, keys });
    counts.follow([planned]);
    this.#processes.set(node, { instance, counts, told: undefined, connectionSeq: 0n });
  }

  /** So often that what it counted before is added up. */
  restartOften(node: Node): void {
    for (let start = 0; start < 6; start += 1) {
      this.restart(node);
      const { counts } = this.#of(node);
      const request = requestAt(5, 0);
      counts.feedback.idOf(request);
      counts.answered(request, 10);
      this.report(node, false);
      this.relay(true);
    }
  }

  answer(node: Node, weight: number, isComplete: boolean): void {
    if (this.#ids.length >= maxAnswers) return;
    const { counts } = this.#of(node);
    const request = requestAt(weight, this.#ids.length);
    this.#ids.push(counts.feedback.idOf(request));
    if (isComplete) counts.answered(request, 10);
  }

  /** So many answers that what is known of feedback about the first ones is forgotten, once one of the last ones gets some. */
  answerMany(node: Node, weight: number): void {
    const { splits } = this.#of(node).counts;
    const { split: at } = requestAt(weight, 0);
    for (let i = 0; i < maxRewarded; i += 1) splits.number(at);
    this.answer(node, weight, true);
    this.tell(node, this.#ids.length - 1);
  }

  tell(node: Node, answer: number): void {
    const id = this.#ids[answer];
    if (id === undefined) return;
    try {
      this.#of(node).counts.feedback.record(id, smallest * 2 ** answer);
      this.#told |= 1n << BigInt(answer);
    } catch (error) {
      if (errorCodeOf(error) !== 'FEEDBACK_UNKNOWN') throw error;
    }
  }

  /** The plan leaves the rollout out for a while, which forgets all feedback about it. `isTold`: the replica hears of that. */
  goAndCome(node: Node, isTold: boolean): void {
    const process = this.#of(node);
    process.counts.follow([], [planned]);
    if (isTold) this.#tell(node, snapshotOf([]));
    process.counts.follow([planned]);
  }

  /** Reports what is new to the replica, or everything to one of an earlier version. */
  report(node: Node, isEarlier: boolean): void {
    const { counts } = this.#of(node);
    const rollout = {
      ...RolloutReport.create(),
      key: sql,
      uid: rolloutUid,
      canaryDigest: digest,
      attempt: 1,
      counts: counts.splits.reports(rolloutUid, digest, 1).map(countsToWire),
      elsewhere: counts.elsewhere.reports(rolloutUid, digest, 1).map(elsewhereToWire),
    };
    if (isEarlier) this.#tellEarlier(node, rollout);
    else this.#tell(node, snapshotOf([rollout]));
  }

  /** The replica tells the leader what is new. `arrives`: false: the stream is cut before it does. */
  relay(arrives: boolean): void {
    this.#relay.flush(arrives);
    if (!arrives) this.#connect();
    this.#leader = attemptCountsOf(this.#leader, this.#view(), attempt);
    this.#check();
    for (const node of arrives ? nodes : []) {
      const [known, here] = [this.#leading, this.#replica].map((fleet) =>
        rolloutsKnown(fleet, runtimeKey(node)),
      );
      if (this.#of(node).told !== undefined) expect(known).toEqual(here);
    }
  }

  /** The next leader knows nothing but what it is told from now on. */
  failOver(): void {
    this.#leader = undefined;
    this.#leading = newStore();
    this.#connect();
  }

  /** What a process keeps is known to the leader. */
  checkNothingIsLost(): void {
    for (const node of nodes) {
      const kept = this.#of(node).counts.elsewhere.reports(rolloutUid, digest, 1);
      const known = this.#leading.get(runtimeKey(node))?.rollouts.get(sql)?.elsewhere?.unpacked();
      expect(rewardsOf(known)).toEqual(expect.arrayContaining(rewardsOf(kept)));
    }
  }

  #of(node: Node) {
    return this.#processes.get(node) ?? expect.fail(`there is no ${node}`);
  }

  #connect(): void {
    this.#relay.cut();
    this.#relay = new TestRelay(this.#replica, this.#leading);
  }

  #tell(node: Node, now: Snapshot): void {
    const process = this.#of(node);
    const before = process.told;
    const news =
      before === undefined ? { report: wholeReport(now), told: now } : reportSince(before, now, true);
    if (news === undefined) return;
    if (before === undefined) process.connectionSeq = ++this.#connections;
    process.told = news.told;
    this.#update(node, this.#replica, local, news.report);
  }

  #tellEarlier(node: Node, rollout: RolloutReport): void {
    const process = this.#of(node);
    this.#replica.gone(local, runtimeKey(node));
    process.told = undefined;
    process.connectionSeq = ++this.#connections;
    const counts = rollout.counts.map((one) => ({ ...one, rewarded: undefined }));
    const report = wholeReport(snapshotOf([{ ...rollout, counts, elsewhere: [] }]));
    this.#update(node, this.#leading, earlier, report);
    this.#leader = attemptCountsOf(this.#leader, this.#view(), attempt);
    this.#check();
  }

  #update(node: Node, fleet: FleetStore, source: Source, report: Report): void {
    const { instance, connectionSeq } = this.#of(node);
    const { key, info } = aRuntimeState(runtimeKey(node));
    const opened = { info, connectedAt: Number(connectionSeq) };
    const change = changeFromWire(Report.decode(Report.encode(report).finish()));
    const known = { key, kind: 'Node', instance, connectionSeq, change } as const;
    fleet.update(source, report.whole ? { ...known, opened } : known);
  }

  #view() {
    const members = nodes.flatMap((node) => {
      const state = this.#leading.get(runtimeKey(node));
      const said = state?.rollouts.get(sql);
      if (state === undefined || said === undefined) return [];
      const { key } = state;
      const shown = {
        key,
        scope: undefined,
        labels: {},
        baseModel: 'tiny',
        presence: 'Connected' as const,
        state,
      };
      const member = { isServing: true, isSilent: false, target: undefined, stable: undefined };
      return [{ ...member, runtimes: setOf(shown), report: saidOf(said) }];
    });
    return { rollout: aRollout({ name: 'sql' }, { adapter: 'v2' }), members, apart: [], kept: nothingKept };
  }

  #check(): void {
    const strata = countersOf(this.#leader?.reports ?? new Map());
    const sum = strata.reduce((all, { canary }) => all + BigInt(total(canary.rewards) / smallest), 0n);
    const count = strata.reduce((all, { canary }) => all + total(canary.feedbacks), 0);
    expect(sum & ~this.#told, 'rewards that nobody gave').toBe(0n);
    expect(sum.toString(2).replaceAll('0', ''), 'each answer counts once').toHaveLength(count);
  }
}

const snapshotOf = (rollouts: readonly RolloutReport[]): Snapshot => ({
  adapters: new Map(),
  rollouts: new Map(rollouts.map((rollout) => [rollout.key, rollout])),
  memory: usage,
  disk: usage,
  ready: true,
  message: '',
  classifiers: new Map(),
  baseModel: BaseModelReport.create(),
  removalsHeld: undefined,
  limits: new Map(),
});

const rewardsOf = (all: readonly Elsewhere[] = []): string[] =>
  all.flatMap(({ origin, weight, rewards }) =>
    rewards.map(({ number, reward }) => `${placeOf(origin, weight)} ${number} ${reward}`),
  );

it('no answer counts twice, none is lost: over restarts, partitions, failovers, earlier replicas, and whoever is told how often', () => {
  const node = fc.constantFrom(...nodes);
  const weight = fc.constantFrom(5, 50);
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('answer' as const), node, weight, isComplete: fc.boolean() }),
    },
    { weight: 12, arbitrary: fc.record({ do: fc.constant('tell' as const), node, answer: fc.nat(12) }) },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('report' as const),
        node,
        isEarlier: fc.constantFrom(false, false, true),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('relay' as const),
        arrives: fc.constantFrom(true, true, false),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('goAndCome' as const), node, isTold: fc.boolean() }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('restart' as const), node }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restartOften' as const), node }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('failOver' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('answerMany' as const), node, weight }) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), (steps) => {
      const fleet = new Fleet();
      for (const one of steps) {
        if (one.do === 'answer') fleet.answer(one.node, one.weight, one.isComplete);
        else if (one.do === 'answerMany') fleet.answerMany(one.node, one.weight);
        else if (one.do === 'tell') fleet.tell(one.node, one.answer);
        else if (one.do === 'report') fleet.report(one.node, one.isEarlier);
        else if (one.do === 'relay') fleet.relay(one.arrives);
        else if (one.do === 'goAndCome') fleet.goAndCome(one.node, one.isTold);
        else if (one.do === 'restart') fleet.restart(one.node);
        else if (one.do === 'restartOften') fleet.restartOften(one.node);
        else fleet.failOver();
      }
      for (const each of nodes) fleet.report(each, false);
      fleet.relay(true);
      fleet.checkNothingIsLost();
    }),
    { numRuns: 100 },
  );
});
